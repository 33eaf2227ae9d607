//! Achievements of one live match: whom to look at, what they have earned, and that it is kept.
//!
//! Players who did something are looked at with the next [tick](super::TELL_EVERY), once it is known what they have
//! already and what their other matches add up to. What is earned is kept by whoever keeps achievements, and told to
//! viewers if it was new there: whatever is folded again, by a rebuilt match or another node, is told and kept once.
//! When the keeper can't be reached, nothing is forgotten and it is asked again.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use mohaa_domain::achievements::{Candidate, Catalogue, Tally, TierOf, TiersHeld};
use mohaa_domain::event::{Millis, Text};
use mohaa_domain::live::LiveMatch;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// After the keeper could not be reached; doubled up to the second.
const RETRY_AFTER: Duration = Duration::from_secs(1);
const RETRY_AFTER_AT_MOST: Duration = Duration::from_secs(30);

/// Players of one errand; the next ones are asked for a tick later.
const MOST_ASKED: usize = 200;

/// Whoever keeps achievements.
pub trait Achievements: Send + Sync + 'static {
    /// What there is to earn.
    fn catalogue(&self) -> Arc<Catalogue>;

    /// What is known of players besides a match; those of whom nobody can say are missing.
    fn standings(&self, match_id: Uuid, player_ids: Vec<Text>) -> BoxFuture<'_, HashMap<Text, Standing>>;

    /// What was unlocked in a match so far; none where nobody can say.
    fn of_match(&self, match_id: Uuid) -> BoxFuture<'_, Option<Vec<Unlocked>>>;

    /// Keeps what was earned; gives that which was not kept before, or none where nothing could be kept.
    fn unlock(&self, match_id: Uuid, earned: Vec<Unlocked>) -> BoxFuture<'_, Option<Vec<Unlocked>>>;
}

/// A player besides this match.
#[derive(Clone, Debug, Default)]
pub struct Standing {
    pub has: TiersHeld,
    /// The sum of the player's other matches; none while nobody can say.
    pub others: Option<Tally>,
}

/// A tier that a player has.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Unlocked {
    pub player_id: Text,
    pub tier: TierOf,
    pub at: Millis,
}

/// What has to be done outside.
pub(super) enum Errand {
    /// Ask for the standings of these.
    Ask(Vec<Text>),
    /// Keep these.
    Keep(Vec<Unlocked>),
}

/// The state of one match's achievements.
pub(super) struct Unlocking {
    standings: HashMap<Text, Standing>,
    /// Who has to be looked at, and when they did something last.
    stirred: HashMap<Text, Millis>,
    asked: HashSet<Text>,
    earned: Vec<Unlocked>,
    is_keeping: bool,
    retry_at: Option<Instant>,
    retry_after: Duration,
}

impl Default for Unlocking {
    fn default() -> Self {
        Self {
            standings: HashMap::new(),
            stirred: HashMap::new(),
            asked: HashSet::new(),
            earned: Vec::new(),
            is_keeping: false,
            retry_at: None,
            retry_after: RETRY_AFTER,
        }
    }
}

impl Unlocking {
    /// Everybody has to be looked at: the state was read anew.
    pub(super) fn look_at_all(&mut self, live: &LiveMatch, at: Millis) {
        self.stirred.extend(live.deeds().keys().map(|player_id| (player_id.clone(), at)));
    }

    /// Totals are read anew, and everybody is looked at a last time.
    pub(super) fn match_has_ended(&mut self, live: &LiveMatch, at: Millis) {
        self.standings.clear();
        self.look_at_all(live, at);
    }

    /// Looks at those who did something; says what has to be done outside.
    pub(super) fn look(
        &mut self,
        live: &mut LiveMatch,
        has_ended: bool,
        catalogue: &Catalogue,
        now: Instant,
    ) -> Vec<Errand> {
        self.stirred.extend(live.take_stirred());
        self.judge(live, has_ended, catalogue);
        let mut errands = Vec::new();
        match self.retry_at {
            Some(at) if now < at => return errands,
            Some(_) => {
                self.retry_at = None;
                self.look_again_at_incomplete(live);
            }
            None => {}
        }
        let is_unknown =
            |player_id: &&Text| !self.standings.contains_key(*player_id) && !self.asked.contains(*player_id);
        let unknown: Vec<Text> = self.stirred.keys().filter(is_unknown).take(MOST_ASKED).cloned().collect();
        if !unknown.is_empty() {
            self.asked.extend(unknown.iter().cloned());
            errands.push(Errand::Ask(unknown));
        }
        if !self.earned.is_empty() && !self.is_keeping {
            self.is_keeping = true;
            errands.push(Errand::Keep(self.earned.clone()));
        }
        errands
    }

    fn judge(&mut self, live: &mut LiveMatch, has_ended: bool, catalogue: &Catalogue) {
        if self.stirred.is_empty() {
            return;
        }
        let (board, all_deeds) = live.board_and_deeds();
        let (standings, earned) = (&mut self.standings, &mut self.earned);
        self.stirred.retain(|player_id, at| {
            let Some(standing) = standings.get_mut(player_id) else { return true };
            let (Some(line), Some(deeds)) = (board.players.get(player_id), all_deeds.get(player_id)) else {
                return false;
            };
            if line.bot {
                return false;
            }
            let candidate = Candidate {
                player_id,
                line,
                deeds,
                board,
                others: standing.others.as_ref(),
                match_has_ended: has_ended,
            };
            for (definition, tier) in catalogue.earned(&candidate, &standing.has) {
                let tier = TierOf { achievement: definition.slug.clone(), tier: tier.tier };
                standing.has.insert(tier.clone());
                earned.push(Unlocked { player_id: player_id.clone(), tier, at: *at });
            }
            false
        });
    }

    /// What was asked for; who is missing is asked for again.
    pub(super) fn learn(
        &mut self,
        asked: &[Text],
        standings: HashMap<Text, Standing>,
        live: &LiveMatch,
        at: Millis,
        now: Instant,
    ) {
        for player_id in asked {
            self.asked.remove(player_id);
        }
        let is_whole = asked
            .iter()
            .all(|player_id| standings.get(player_id).is_some_and(|standing| standing.others.is_some()));
        for (player_id, mut standing) in standings {
            // Earned meanwhile, or not kept yet.
            standing.has.extend(
                self.earned.iter().filter(|one| one.player_id == player_id).map(|one| one.tier.clone()),
            );
            if live.deeds().contains_key(&player_id) {
                self.stirred.entry(player_id.clone()).or_insert(at);
            }
            self.standings.insert(player_id, standing);
        }
        if is_whole {
            self.retry_after = RETRY_AFTER;
        } else {
            self.wait(now);
        }
    }

    /// Those whose other matches nobody could tell.
    fn look_again_at_incomplete(&mut self, live: &LiveMatch) {
        let is_incomplete = |standing: &Standing| standing.others.is_none();
        for (player_id, _) in self.standings.extract_if(|_, standing| is_incomplete(standing)) {
            self.stirred.entry(player_id).or_insert(live.last_received_at);
        }
    }

    /// What became of an errand to keep `sent`; gives what viewers have to be told.
    pub(super) fn kept(
        &mut self,
        sent: &[Unlocked],
        new: Option<Vec<Unlocked>>,
        now: Instant,
    ) -> Vec<Unlocked> {
        self.is_keeping = false;
        let Some(new) = new else {
            self.wait(now);
            return Vec::new();
        };
        self.retry_after = RETRY_AFTER;
        self.earned.retain(|one| !sent.contains(one));
        new
    }

    /// Players who have to be looked at, or looked at again once it is known what their other matches add up to.
    pub(super) fn waiting(&self) -> usize {
        let is_incomplete = |(player_id, standing): &(&Text, &Standing)| {
            standing.others.is_none() && !self.stirred.contains_key(*player_id)
        };
        self.stirred.len() + self.standings.iter().filter(is_incomplete).count()
    }

    /// Tiers that were earned and are not kept yet.
    pub(super) fn owed(&self) -> usize {
        self.earned.len()
    }

    fn wait(&mut self, now: Instant) {
        self.retry_at = Some(now + self.retry_after);
        self.retry_after = (self.retry_after * 2).min(RETRY_AFTER_AT_MOST);
    }
}
