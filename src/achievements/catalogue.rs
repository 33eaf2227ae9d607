//! The definitions, from PostgreSQL to memory.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use mohaa_domain::achievements::{Catalogue, Definition, Rule, RuleError, Tier};
use sqlx::{FromRow, PgConnection, PgPool};

/// Operators may change definitions while the service runs.
const READ_EVERY: Duration = Duration::from_secs(60);
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Definitions that everybody reads. Clones are one.
#[derive(Clone, Debug, Default)]
pub struct SharedCatalogue {
    catalogue: Arc<RwLock<Arc<Catalogue>>>,
}

#[derive(FromRow)]
struct DefinitionRow {
    slug: String,
    name: String,
    description: String,
    category: String,
    icon: String,
    hidden: bool,
    rule: serde_json::Value,
}

/// Why a definition can't be used.
#[derive(Debug, thiserror::Error)]
pub enum CatalogueError {
    #[error("the rule can't be read: {0}")]
    Unreadable(#[from] serde_json::Error),
    #[error(transparent)]
    Senseless(#[from] RuleError),
    #[error("it has no tier")]
    NoTier,
}

impl SharedCatalogue {
    pub fn now(&self) -> Arc<Catalogue> {
        self.catalogue.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) async fn keep(self, postgres: PgPool) {
        loop {
            let pause = match read(&postgres).await {
                Ok(catalogue) => {
                    *self.catalogue.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(catalogue);
                    READ_EVERY
                }
                Err(error) => {
                    tracing::warn!(%error, "definitions of achievements can't be read yet");
                    RETRY_AFTER
                }
            };
            tokio::time::sleep(pause).await;
        }
    }
}

/// Every definition that can be used; others are named in the log.
async fn read(postgres: &PgPool) -> sqlx::Result<Catalogue> {
    read_definitions(&mut *postgres.acquire().await?).await
}

/// The same within a transaction.
pub(super) async fn read_definitions(postgres: &mut PgConnection) -> sqlx::Result<Catalogue> {
    let tiers: Vec<(String, i16, i64, i32)> = sqlx::query_as(
        "SELECT achievement, tier, threshold, points FROM achievement_tiers ORDER BY achievement, threshold",
    )
    .fetch_all(&mut *postgres)
    .await?;
    let mut tiers_of: BTreeMap<String, Vec<Tier>> = BTreeMap::new();
    for (achievement, tier, threshold, points) in tiers {
        let threshold = u64::try_from(threshold).unwrap_or(u64::MAX);
        tiers_of.entry(achievement).or_default().push(Tier { tier, threshold, points });
    }
    let rows: Vec<DefinitionRow> = sqlx::query_as(
        "SELECT slug, name, description, category, icon, hidden, rule FROM achievements ORDER BY position, slug",
    )
    .fetch_all(postgres)
    .await?;
    let definitions = rows.into_iter().filter_map(|row| {
        let tiers = tiers_of.remove(&row.slug).unwrap_or_default();
        let slug = row.slug.clone();
        definition(row, tiers)
            .inspect_err(
                |error| tracing::error!(%error, achievement = slug, "an achievement can't be earned"),
            )
            .ok()
    });
    Ok(Catalogue::new(definitions.collect()))
}

fn definition(row: DefinitionRow, tiers: Vec<Tier>) -> Result<Definition, CatalogueError> {
    let rule: Rule = serde_json::from_value(row.rule)?;
    rule.check()?;
    if tiers.is_empty() {
        return Err(CatalogueError::NoTier);
    }
    Ok(Definition {
        slug: row.slug,
        name: row.name,
        description: row.description,
        category: row.category,
        icon: row.icon,
        hidden: row.hidden,
        rule,
        tiers,
    })
}
