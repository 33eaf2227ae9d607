//! Databases that have the schemas of the service, copied from one that went through all migrations: a fraction of the time that these
//! take. What migrations do to what is stored is tested where they are (`tests/migration.rs`); tests that ask for an empty database
//! still run them.

use mohaa_embedded::StoreUrls;
use mohaa_embedded::testing::TestStores;
use mohaa_stats::clickhouse::cluster::Engines;
use mohaa_stats::clickhouse::schema;
use mohaa_stats::config::{ClickHouseUrl, StoreUrl};
use mohaa_stats::postgres;
use tokio::sync::OnceCell;

use super::Warehouse;

static TEMPLATE: OnceCell<Template> = OnceCell::const_new();

struct Template {
    /// Of the database, in PostgreSQL and in ClickHouse.
    name: String,
    /// What makes the tables and views, in an order in which each finds what it needs.
    definitions: Vec<String>,
}

/// A fresh PostgreSQL database and ClickHouse database with their schemas, and a Redis database.
pub async fn database(name_hint: &str) -> StoreUrls {
    let template = TEMPLATE.get_or_init(Template::make).await;
    let urls = TestStores::shared().await.database_like(Some(&template.name), name_hint).await;
    let (warehouse, name) = (Warehouse::new(&urls.clickhouse_url), name_of(&urls.clickhouse_url));
    for definition in &template.definitions {
        warehouse.execute(&definition.replace(&format!("{}.", template.name), &format!("{name}."))).await;
    }
    warehouse
        .execute(&format!(
            "INSERT INTO {name}.schema_migrations SELECT * FROM {}.schema_migrations",
            template.name
        ))
        .await;
    urls
}

impl Template {
    async fn make() -> Self {
        let urls = TestStores::shared().await.database("template_of_schemas").await;
        let pool = postgres::pool(&StoreUrl::postgres(&urls.postgres_url).unwrap()).await.unwrap();
        postgres::migrate(&pool).await.unwrap();
        pool.close().await;
        let engines = Engines::connect(&ClickHouseUrl::parse(&urls.clickhouse_url).unwrap(), None);
        schema::migrate(&engines).await.unwrap();
        let definitions = Warehouse::new(&urls.clickhouse_url)
            .rows(
                "SELECT create_table_query AS definition FROM system.tables WHERE database = currentDatabase() \
                 ORDER BY engine = 'MaterializedView', name",
            )
            .await;
        let text = |row: &serde_json::Value| row["definition"].as_str().unwrap().to_owned();
        Self {
            name: name_of(&urls.clickhouse_url).to_owned(),
            definitions: definitions.iter().map(text).collect(),
        }
    }
}

fn name_of(url: &str) -> &str {
    url.rsplit_once('/').map_or(url, |(_, name)| name)
}
