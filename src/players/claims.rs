//! Claims: a player in the game shows a user's code, and is the user's from then on.

use mohaa_actors::batcher::IdentityClaim;
use sqlx::PgPool;
use std::sync::Arc;
use tokio::sync::mpsc;
use uuid::Uuid;

use super::codes::{CodeError, Purpose, consume_code};
use super::links::{LinkError, link};
use crate::audit::{self, By, Entry};
use crate::auth::ShortCodes;
use crate::limits::{GuessLimits, Guesser};

#[derive(Debug, thiserror::Error)]
pub(super) enum ClaimError {
    #[error(transparent)]
    Code(#[from] CodeError),
    #[error(transparent)]
    Link(#[from] LinkError),
    #[error("claims can't be taken: {0}")]
    Store(#[from] sqlx::Error),
}

/// Links the player to the user of the code; the code is used up only if that is done.
pub(super) async fn claim(
    pool: &PgPool,
    codes: &ShortCodes,
    server_id: Uuid,
    code: &str,
    player_id: &str,
) -> Result<i32, ClaimError> {
    let mut transaction = pool.begin().await?;
    let user_id = consume_code(&mut transaction, codes, code, Purpose::Claim).await?;
    link(&mut transaction, user_id, player_id).await?;
    let entry = Entry {
        by: By::GameServer { of_user: Some(user_id) },
        action: "player.claim",
        subject_kind: "player",
        subject_id: player_id,
        before: None,
        after: Some(serde_json::json!({ "user_id": user_id, "server_id": server_id })),
    };
    audit::record(&mut transaction, entry).await?;
    transaction.commit().await?;
    tracing::info!(user_id, "a player was claimed");
    Ok(user_id)
}

/// Takes the claims that come with events (`!claim CODE` in chat, `identity_claim`), one after the other.
pub async fn take_claims(
    mut claims: mpsc::Receiver<IdentityClaim>,
    pool: PgPool,
    codes: ShortCodes,
    guesses: Arc<GuessLimits>,
) {
    while let Some(IdentityClaim { code, server_id, player_id, .. }) = claims.recv().await {
        let guesser = Guesser::Player { server_id, player_id: player_id.to_string() };
        let all_there = Guesser::Server(server_id);
        if player_id.is_empty() {
            continue;
        }
        let Ok(guess) = guesses.begin(vec![guesser, all_there]).await else { continue };
        match claim(&pool, &codes, server_id, code.as_str(), &player_id).await {
            Ok(_) => {}
            // Whoever mistypes sees on their page that nothing was linked.
            Err(ClaimError::Code(CodeError::Unknown)) => guess.was_wrong(),
            Err(ClaimError::Code(CodeError::Expired)) => {}
            Err(error) => tracing::warn!(%error, "a claim in the game came to nothing"),
        }
    }
}
