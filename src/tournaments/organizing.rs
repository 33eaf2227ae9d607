//! What organizers do to a tournament as a whole: make it, change it, move it on, appoint its staff.

use mohaa_actors::tournament::{Done, Failed, Intent};
use mohaa_domain::tournament::{By, Command, Refusal, Settings, Status};
use rand::Rng as _;
use serde_json::Value;
use uuid::Uuid;

use super::body::{SettingsBody, changed};
use super::handlers::{StaffBody, StaffList, StaffMember, StaffWord};
use super::roles::{StaffRole, staff_role};
use super::{Current, Terms, Tournaments, store, unavailable};
use crate::audit::{self, Entry};
use crate::auth::Identity;
use crate::http::ApiError;
use crate::users::{self, Role, lock_caller};

/// Asked before what was sent is looked at.
pub(super) fn only_organizers(by: By) -> Result<(), ApiError> {
    match by.is_organizer() {
        true => Ok(()),
        false => Err(Refusal::NotAllowed("an organizer of the tournament").into()),
    }
}

impl Tournaments {
    /// Makes a draft of which the caller is the owner.
    pub async fn create(
        &self,
        terms: &impl Terms,
        caller: Identity,
        body: SettingsBody,
    ) -> Result<Current, ApiError> {
        let settings = body.into_settings()?;
        let key = terms.idempotency_key()?;
        let id = Uuid::now_v7();
        let mut transaction = self.pool().begin().await.map_err(unavailable)?;
        lock_caller(&mut transaction, caller).await?;
        let before = store::create(&mut transaction, id, caller.user_id, &settings, key.as_deref(), None)
            .await
            .map_err(unavailable)?;
        if before.is_none() {
            let entry = Entry {
                by: audit::By::User(caller.user_id),
                action: "tournament.create",
                subject_kind: "tournament",
                subject_id: &id.to_string(),
                before: None,
                after: told_to_audit(&settings),
            };
            audit::record(&mut transaction, entry).await.map_err(unavailable)?;
        }
        transaction.commit().await.map_err(unavailable)?;
        match before {
            Some((_, false)) => Err(Failed::KeyReused.into()),
            Some((before, true)) => self.read(before).await,
            None => self.read(id).await,
        }
    }

    /// Changes settings: what is absent stays, what is null goes back to its default. Gives the tournament as it was, too.
    pub async fn change_settings(
        &self,
        terms: &impl Terms,
        caller: Identity,
        id: Uuid,
        change: impl FnOnce() -> Result<Value, ApiError>,
    ) -> Result<(Current, Done), ApiError> {
        let (current, by) = self.seen_by(id, caller).await?;
        only_organizers(by)?;
        let (settings, fields) = changed(&current.tournament.settings, change()?)?;
        let command = Command::Update { settings: Box::new(settings), fields: Some(fields) };
        let done = self.apply(terms, id, by, command).await?;
        Ok((current, done))
    }

    /// Moves a tournament on.
    pub async fn move_on(
        &self,
        terms: &impl Terms,
        caller: Identity,
        id: Uuid,
        status: impl FnOnce() -> Result<Status, ApiError>,
    ) -> Result<(Current, Done), ApiError> {
        let (current, by) = self.seen_by(id, caller).await?;
        only_organizers(by)?;
        let to = status()?;
        // As JSON numbers of any reader take it.
        let random = rand::rng().next_u64() >> 11;
        let done = self.apply(terms, id, by, Command::SetStatus { to, random }).await?;
        Ok((current, done))
    }

    /// Takes the last mutation back.
    pub async fn undo(
        &self,
        terms: &impl Terms,
        caller: Identity,
        id: Uuid,
    ) -> Result<(Current, Done), ApiError> {
        let (current, by) = self.seen_by(id, caller).await?;
        let done = self.mutate(terms, id, by, Intent::Undo, false).await?;
        Ok((current, done))
    }

    /// Appoints an organizer or a referee, or takes the role away.
    pub async fn appoint(
        &self,
        terms: &impl Terms,
        caller: Identity,
        id: Uuid,
        body: impl FnOnce() -> Result<StaffBody, ApiError>,
    ) -> Result<Current, ApiError> {
        let (current, by) = self.seen_by(id, caller).await?;
        only_organizers(by)?;
        if terms.expected_version()?.is_some_and(|expected| expected != current.version) {
            return Err(Failed::Stale { version: current.version }.into());
        }
        let StaffBody { user_id, role } = body()?;
        if user_id == current.owner_id {
            return Err(ApiError::invalid_field("user_id", "is the owner"));
        }
        if users::find(self.pool(), user_id).await.map_err(unavailable)?.is_none() {
            return Err(ApiError::invalid_field("user_id", "no such user"));
        }
        if role.is_some() && users::is_banned(self.pool(), user_id).await.map_err(unavailable)? {
            return Err(ApiError::invalid_field("user_id", "is banned"));
        }
        let mut transaction = self.pool().begin().await.map_err(unavailable)?;
        lock_caller(&mut transaction, caller).await?;
        // Of two who take the role from each other one comes first, and the other has none to do it with.
        sqlx::query("SELECT FROM tournaments WHERE id = $1 FOR NO KEY UPDATE")
            .bind(id)
            .execute(&mut *transaction)
            .await
            .map_err(unavailable)?;
        let still_may = match staff_role(&mut *transaction, id, caller.user_id).await? {
            _ if caller.role == Role::Admin => true,
            Some(StaffRole::Owner) => caller.role == Role::Organizer,
            Some(StaffRole::Organizer) => true,
            Some(StaffRole::Referee) | None => false,
        };
        if !still_may {
            return Err(Refusal::NotAllowed("an organizer of the tournament").into());
        }
        let before = staff_role(&mut *transaction, id, user_id).await?;
        let changing = match role {
            Some(role) => sqlx::query(
                "INSERT INTO tournament_staff (tournament_id, user_id, role) VALUES ($1, $2, $3)
                 ON CONFLICT (tournament_id, user_id) DO UPDATE SET role = excluded.role",
            )
            .bind(id)
            .bind(user_id)
            .bind(match role {
                StaffWord::Organizer => "organizer",
                StaffWord::Referee => "referee",
            }),
            None => sqlx::query("DELETE FROM tournament_staff WHERE tournament_id = $1 AND user_id = $2")
                .bind(id)
                .bind(user_id),
        };
        changing.execute(&mut *transaction).await.map_err(unavailable)?;
        let word = |role: Option<StaffRole>| {
            role.map(|role| match role {
                StaffRole::Owner => "owner",
                StaffRole::Organizer => "organizer",
                StaffRole::Referee => "referee",
            })
        };
        let entry = Entry {
            by: audit::By::User(caller.user_id),
            action: "tournament.staff",
            subject_kind: "tournament",
            subject_id: &id.to_string(),
            before: Some(serde_json::json!({ "user_id": user_id, "role": word(before) })),
            after: Some(serde_json::json!({ "user_id": user_id, "role": role })),
        };
        audit::record(&mut transaction, entry).await.map_err(unavailable)?;
        transaction.commit().await.map_err(unavailable)?;
        Ok(current)
    }
}

/// Settings without what people call things: nothing is taken out of the audit log, and texts may hold anybody's name.
pub(super) fn told_to_audit(settings: &Settings) -> Option<Value> {
    let mut told = serde_json::to_value(settings).ok()?;
    for text in ["name", "description"] {
        told.as_object_mut()?.remove(text);
    }
    Some(told)
}

/// The owner, then organizers, then referees.
///
/// # Errors
/// 503 when PostgreSQL does not answer.
pub async fn staff(tournaments: &Tournaments, current: &Current) -> Result<StaffList, ApiError> {
    let rows: Vec<(i32, String, String)> = sqlx::query_as(
        "SELECT user_id, display_name, tournament_staff.role FROM tournament_staff JOIN users ON users.id = user_id
         WHERE tournament_id = $1 ORDER BY tournament_staff.role, user_id",
    )
    .bind(current.id)
    .fetch_all(tournaments.pool())
    .await
    .map_err(unavailable)?;
    let owner = (current.owner_id, current.owner_name.clone(), "owner".to_owned());
    let staff = std::iter::once(owner).chain(rows);
    Ok(StaffList {
        tournament_id: current.id,
        version: current.version,
        staff: staff.map(|(user_id, user_name, role)| StaffMember { user_id, user_name, role }).collect(),
    })
}
