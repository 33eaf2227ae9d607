//! Matches: rounds, reports, disputes, vetoes, corrections.

use std::collections::BTreeSet;

use super::At;
use super::apply::{LONGEST_REASON, line, only_organizers, only_staff};
use super::bout::{
    Bout, By, Dispute, Forfeit, Game, Plan, Report, Side, Status as BoutStatus, Verdict, VetoChoice, leader,
};
use super::command::Refusal;
use super::key::Key;
use super::settings::{LONGEST_MAP, MOMENTS, VetoStep, is_line, is_moment};
use super::state::{Status, Tournament};

/// Scores of sixteen million fit every format that scores are kept in, and no game has them.
const GREATEST_SCORE: u32 = 1 << 24;
/// Of one match, drawn ones included, which are played again.
const MOST_GAMES: usize = 32;
const LONGEST_ADDRESS: usize = 500;

/// What the next step of a veto is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VetoTurn {
    /// Who chooses.
    pub side: Side,
    /// The map is taken away; else it is picked.
    pub banned: bool,
    /// Maps that are left.
    pub maps: Vec<String>,
    is_last: bool,
}

impl Tournament {
    pub(super) fn next_round(&mut self, allow_rematches: bool, by: By) -> Result<(), Refusal> {
        only_organizers(by)?;
        if !self.has_swiss() {
            return Err(Refusal::NotSwiss);
        }
        if self.status == Status::Completed {
            return Err(Refusal::NoFurtherRound);
        }
        self.must_be_in_progress()?;
        let open = self.section(super::key::Section::Swiss).find(|bout| bout.status != BoutStatus::Completed);
        if let Some(open) = open {
            return Err(Refusal::RoundIsOpen(open.key));
        }
        if self.swiss_is_over() {
            return Err(Refusal::NoFurtherRound);
        }
        self.pair_swiss(allow_rematches || self.settings.options.allow_rematches)
    }

    fn must_be_in_progress(&self) -> Result<(), Refusal> {
        match self.status {
            Status::InProgress => Ok(()),
            status => Err(Refusal::WrongStatus { status, needs: "in_progress" }),
        }
    }

    /// A match that two sides can play.
    fn bout_mut(&mut self, key: Key) -> Result<&mut Bout, Refusal> {
        if !self.status.has_begun() && !self.bouts.is_empty() {
            return Err(Refusal::WrongStatus { status: self.status, needs: "in_progress" });
        }
        let due = key != Key::RESET || self.reset_is_due();
        let bout = self.bouts.get_mut(&key).ok_or(Refusal::UnknownMatch(key))?;
        if !due {
            return Err(Refusal::ResetNotDue);
        }
        if bout.has_bye() {
            return Err(Refusal::HasBye(key));
        }
        Ok(bout)
    }

    /// A match that is being played or can be.
    fn open_bout(&mut self, key: Key) -> Result<&mut Bout, Refusal> {
        let bout = self.bout_mut(key)?;
        match bout.status {
            BoutStatus::Ready | BoutStatus::Running => Ok(bout),
            BoutStatus::Completed => Err(Refusal::AlreadyDecided(key)),
            status => Err(Refusal::NotReady { key, status }),
        }
    }

    /// Whether somebody has a say in a match: a captain of one of its sides, and staff. Asked before anything else.
    pub fn must_have_a_say(&self, key: Key, by: By) -> Result<(), Refusal> {
        let bout = self.bouts.get(&key).ok_or(Refusal::UnknownMatch(key))?;
        match by {
            By::Captain(_, entrant) if bout.side_of(entrant).is_some() => Ok(()),
            By::Organizer(_) | By::Referee(_) => Ok(()),
            _ => Err(Refusal::NotAllowed("a captain of one of the sides, a referee or an organizer")),
        }
    }

    fn must_have_a_say_or_be_server(&self, key: Key, by: By) -> Result<(), Refusal> {
        if matches!(by, By::Server(_)) { Ok(()) } else { self.must_have_a_say(key, by) }
    }

    pub(super) fn report(&mut self, key: Key, verdict: &Verdict, by: By, at: At) -> Result<(), Refusal> {
        self.must_have_a_say_or_be_server(key, by)?;
        let (draws, accept_after) = (self.has_draws(key), self.settings.options.auto_accept());
        let bout = self.bout_mut(key)?;
        let verdict = checked(verdict, bout.best_of, draws)?;
        let report = Report { by, at, verdict };
        if let (By::Server(_), Some(outcome)) = (by, &bout.outcome)
            && outcome.verdict.agrees(&report.verdict)
        {
            // Servers say it again.
            return Ok(());
        }
        let bout = self.open_bout(key)?;
        if by.is_staff() {
            decide(bout, report);
            return Ok(());
        }
        if bout.dispute.is_some() {
            // Who has not spoken is heard, and who says it again too; it is decided by an organizer all the same.
            match bout.reports.iter().find(|other| same_witness(other.by, by)) {
                None => bout.reports.push(report),
                Some(said) if said.verdict.agrees(&report.verdict) && matches!(by, By::Server(_)) => {}
                Some(_) => return Err(Refusal::Disputed(key)),
            }
            return Ok(());
        }
        bout.reports.retain(|other| !same_witness(other.by, by));
        bout.reports.push(report.clone());
        let agreed = bout.reports.iter().all(|other| other.verdict.agrees(&report.verdict));
        if !agreed {
            bout.accept_at = None;
            bout.dispute = Some(Dispute { by, at, reason: "The reports differ.".to_owned() });
        } else if bout.reports.len() > 1 || matches!(by, By::Server(_)) {
            decide(bout, report);
        } else {
            bout.accept_at = accept_after.map(|after| at + after);
        }
        Ok(())
    }

    /// One game more, or the same one again. When a side has enough, it is a report.
    pub(super) fn report_game(&mut self, key: Key, game: &Game, by: By, at: At) -> Result<(), Refusal> {
        if !matches!(by, By::Server(_)) {
            return Err(Refusal::NotAllowed("the match's server"));
        }
        checked_games(std::slice::from_ref(game), 1)?;
        let best_of = self.bout_mut(key)?.best_of;
        if best_of == 1 {
            let verdict = Verdict {
                scores: [game.score1, game.score2],
                winner: game.winner(),
                forfeit: None,
                games: vec![game.clone()],
            };
            return self.report(key, &verdict, by, at);
        }
        let bout = self.bout_mut(key)?;
        let known = |other: &Game| game.match_id.is_some() && other.match_id == game.match_id;
        if bout.outcome.as_ref().is_some_and(|outcome| outcome.verdict.games.iter().any(known)) {
            return Ok(());
        }
        let bout = self.open_bout(key)?;
        match bout.games.iter_mut().find(|other| known(other)) {
            Some(other) => *other = game.clone(),
            None => bout.games.push(game.clone()),
        }
        checked_games(&bout.games, best_of)?;
        let scores = games_won(&bout.games);
        if scores.iter().max().is_some_and(|most| *most >= u32::from(best_of).div_ceil(2)) {
            let games = bout.games.clone();
            let verdict = Verdict { scores, winner: leader(scores[0], scores[1]), forfeit: None, games };
            return self.report(key, &verdict, by, at);
        }
        bout.started_at = bout.started_at.or(Some(at));
        Ok(())
    }

    pub(super) fn confirm(&mut self, key: Key, by: By, at: At) -> Result<(), Refusal> {
        self.must_have_a_say(key, by)?;
        let bout = self.open_bout(key)?;
        let report = bout.reports.last().cloned().ok_or(Refusal::NothingReported(key))?;
        if bout.dispute.is_some() {
            return Err(Refusal::Disputed(key));
        }
        if same_witness(report.by, by) {
            return Err(Refusal::OwnReport(key));
        }
        decide(bout, Report { by, at, ..report });
        Ok(())
    }

    pub(super) fn dispute(&mut self, key: Key, reason: &str, by: By, at: At) -> Result<(), Refusal> {
        self.must_have_a_say(key, by)?;
        let reason = line(reason, "reason", LONGEST_REASON)?;
        let bout = self.bout_mut(key)?;
        if bout.dispute.is_some() {
            return Err(Refusal::Disputed(key));
        }
        if bout.outcome.as_ref().is_some_and(|outcome| outcome.by.is_staff()) && !by.is_staff() {
            return Err(Refusal::Final(key));
        }
        if bout.outcome.is_none() && bout.reports.is_empty() {
            return Err(Refusal::NothingReported(key));
        }
        bout.accept_at = None;
        bout.dispute = Some(Dispute { by, at, reason });
        Ok(())
    }

    pub(super) fn resolve(&mut self, key: Key, verdict: &Verdict, by: By, at: At) -> Result<(), Refusal> {
        only_organizers(by)?;
        let draws = self.has_draws(key);
        let bout = self.bout_mut(key)?;
        let verdict = checked(verdict, bout.best_of, draws)?;
        if bout.dispute.is_none() {
            return Err(Refusal::NotDisputed(key));
        }
        decide(bout, Report { by, at, verdict });
        Ok(())
    }

    pub(super) fn reset(&mut self, key: Key, by: By) -> Result<(), Refusal> {
        only_organizers(by)?;
        let bout = self.bout_mut(key)?;
        bout.clear();
        Ok(())
    }

    pub(super) fn plan(
        &mut self,
        key: Key,
        plan: &Plan,
        fields: Option<&BTreeSet<String>>,
        by: By,
    ) -> Result<(), Refusal> {
        only_staff(by)?;
        let plan = self.bout_mut(key)?.plan.with(plan, fields);
        if plan.scheduled_at.is_some_and(|at| !is_moment(at)) {
            return Err(Refusal::invalid("scheduled_at", MOMENTS));
        }
        let pool = &self.settings.map_pool;
        if let Some(map) = &plan.map {
            if !is_line(map, LONGEST_MAP) {
                return Err(Refusal::invalid("map", "1 to 128 characters, without control characters"));
            }
            if !pool.is_empty() && !pool.contains(map) {
                return Err(Refusal::invalid("map", "not in the map pool"));
            }
        }
        if plan.stream_url.as_deref().is_some_and(|address| !is_web_address(address)) {
            return Err(Refusal::invalid(
                "stream_url",
                "an https:// or http:// address of at most 500 characters",
            ));
        }
        let bout = self.bout_mut(key)?;
        bout.plan = plan;
        Ok(())
    }

    pub(super) fn start(&mut self, key: Key, by: By, at: At) -> Result<(), Refusal> {
        self.must_have_a_say_or_be_server(key, by)?;
        let bout = self.open_bout(key)?;
        if bout.dispute.is_some() {
            return Err(Refusal::Disputed(key));
        }
        bout.started_at = bout.started_at.or(Some(at));
        Ok(())
    }

    /// Whose turn it is to ban or pick a map of a match that can be played, and of which.
    ///
    /// # Errors
    /// [`Refusal::NoVeto`] where there is none, or none any more.
    pub fn next_veto(&self, key: Key) -> Result<VetoTurn, Refusal> {
        let bout = self.bouts.get(&key).ok_or(Refusal::UnknownMatch(key))?;
        let pool = &self.settings.map_pool;
        let best_of = usize::from(bout.best_of);
        if pool.len() <= best_of {
            return Err(Refusal::NoVeto("the map pool has no more maps than are played"));
        }
        let most_bans = pool.len() - best_of;
        let mut steps = self.settings.options.veto.clone().unwrap_or_else(|| {
            [VetoStep::Ban1, VetoStep::Ban2].into_iter().cycle().take(most_bans).collect()
        });
        // An order that was made for other lengths goes on without the bans that leave too few maps, and without the picks that
        // are more than is played.
        let (mut bans, mut picks) = (0, 0);
        steps.retain(|step| match step {
            VetoStep::Ban1 | VetoStep::Ban2 => {
                bans += 1;
                bans <= most_bans
            }
            VetoStep::Pick1 | VetoStep::Pick2 => {
                picks += 1;
                picks <= best_of
            }
        });
        let step = *steps.get(bout.vetoes.len()).ok_or(Refusal::NoVeto("all maps are chosen"))?;
        let (side, banned) = match step {
            VetoStep::Ban1 => (Side::One, true),
            VetoStep::Ban2 => (Side::Two, true),
            VetoStep::Pick1 => (Side::One, false),
            VetoStep::Pick2 => (Side::Two, false),
        };
        let is_left = |map: &&String| bout.vetoes.iter().all(|choice| choice.map != **map);
        let maps = pool.iter().filter(is_left).cloned().collect();
        Ok(VetoTurn { side, banned, maps, is_last: bout.vetoes.len() + 1 == steps.len() })
    }

    pub(super) fn veto(&mut self, key: Key, map: &str, by: By) -> Result<(), Refusal> {
        self.must_have_a_say(key, by)?;
        self.open_bout(key)?;
        let VetoTurn { side, banned, maps, is_last } = self.next_veto(key)?;
        let bout = self.open_bout(key)?;
        if let By::Captain(_, entrant) = by
            && bout.side_of(entrant) != Some(side)
        {
            return Err(Refusal::NotYourTurn);
        }
        if !maps.iter().any(|other| other == map) {
            return Err(Refusal::invalid("map", "not one of the maps that are left"));
        }
        bout.vetoes.push(VetoChoice { side: Some(side), banned, map: map.to_owned() });
        if is_last {
            let rest = maps.into_iter().filter(|other| other != map);
            bout.vetoes.extend(rest.map(|map| VetoChoice { side: None, banned: false, map }));
        }
        Ok(())
    }

    pub(super) fn correct(&mut self, key: Key, verdict: &Verdict, by: By, at: At) -> Result<(), Refusal> {
        only_organizers(by)?;
        let draws = self.has_draws(key);
        let bout = self.bout_mut(key)?;
        let verdict = checked(verdict, bout.best_of, draws)?;
        if bout.outcome.is_none() {
            return Err(Refusal::NotDecided(key));
        }
        decide(bout, Report { by, at, verdict });
        Ok(())
    }
}

pub(super) fn decide(bout: &mut Bout, report: Report) {
    bout.started_at = bout.started_at.or(Some(report.at));
    bout.outcome = Some(report);
    bout.accept_at = None;
    bout.dispute = None;
}

/// Whether two reports are of the same side, or both of servers.
fn same_witness(one: By, two: By) -> bool {
    match (one, two) {
        (By::Captain(_, one), By::Captain(_, two)) => one == two,
        (By::Server(_), By::Server(_)) => true,
        _ => false,
    }
}

/// A verdict that a match of so many games can have: with the winner that follows from the scores.
fn checked(verdict: &Verdict, best_of: u8, draws: bool) -> Result<Verdict, Refusal> {
    let [one, two] = verdict.scores;
    let mut verdict = verdict.clone();
    if one.max(two) > GREATEST_SCORE {
        return Err(Refusal::invalid("score1", "no score is that great"));
    }
    checked_games(&verdict.games, best_of)?;
    if let Some(forfeit) = verdict.forfeit {
        let winner = match forfeit {
            Forfeit::One => Some(Side::Two),
            Forfeit::Two => Some(Side::One),
            Forfeit::Both => None,
        };
        if verdict.winner.is_some() && verdict.winner != winner {
            return Err(Refusal::invalid("winner", "who forfeits does not win"));
        }
        // They count in tables: what was played until somebody left never puts that side ahead.
        let ahead = leader(one, two);
        if (ahead.is_some() && ahead != winner) || (forfeit == Forfeit::Both && one > 0) {
            return Err(Refusal::invalid("score1", "who forfeits is not ahead"));
        }
        if best_of > 1 && one.max(two) > u32::from(best_of).div_ceil(2) {
            return Err(Refusal::invalid("score1", "more games than win the match"));
        }
        verdict.winner = winner;
        return Ok(verdict);
    }
    let ahead = leader(one, two);
    if ahead.is_some() && verdict.winner.is_some() && verdict.winner != ahead {
        return Err(Refusal::invalid("winner", "not who has the greater score"));
    }
    verdict.winner = verdict.winner.or(ahead);
    if verdict.winner.is_none() && !draws {
        return Err(Refusal::invalid("winner", "a draw can't be in this format: say who won"));
    }
    if best_of > 1 {
        let need = u32::from(best_of).div_ceil(2);
        let enough = one.max(two) == need && one != two;
        let drawn = draws && one == two && one < need;
        if !enough && !drawn {
            let why = format!("one side needs {need} games won: it is a best of {best_of}");
            return Err(Refusal::invalid("score1", why));
        }
        // Not all games have to be told, but none that was not won.
        let [first, second] = games_won(&verdict.games);
        if first > one || second > two {
            return Err(Refusal::invalid("games", "a side won more of them than the score says"));
        }
        let before_the_last = verdict.games.split_last().map_or(&[][..], |(_, before)| before);
        if games_won(before_the_last).contains(&need) {
            return Err(Refusal::invalid("games", "the match was over before the last of them"));
        }
    } else if verdict.games.iter().any(|game| game.winner().is_some_and(|won| verdict.winner != Some(won))) {
        return Err(Refusal::invalid("games", "the game was won by the other side"));
    }
    Ok(verdict)
}

/// Games as they can be: a drawn one is played again and counts for nobody.
fn checked_games(games: &[Game], best_of: u8) -> Result<(), Refusal> {
    let decided: u32 = games_won(games).iter().sum();
    if decided > u32::from(best_of) || games.len() > MOST_GAMES {
        return Err(Refusal::invalid("games", format!("best of {best_of} has no more games than that")));
    }
    if games.iter().any(|game| game.score1.max(game.score2) > GREATEST_SCORE) {
        return Err(Refusal::invalid("games", "no score is that great"));
    }
    if games.iter().any(|game| game.map.as_deref().is_some_and(|map| !is_line(map, LONGEST_MAP))) {
        return Err(Refusal::invalid("games", "a map has 1 to 128 characters, without control characters"));
    }
    Ok(())
}

/// By each side.
fn games_won(games: &[Game]) -> [u32; 2] {
    let won = |side| games.iter().filter(|game| game.winner() == Some(side)).count();
    [won(Side::One), won(Side::Two)].map(|won| u32::try_from(won).unwrap_or(u32::MAX))
}

fn is_web_address(address: &str) -> bool {
    let rest = address.strip_prefix("https://").or_else(|| address.strip_prefix("http://"));
    rest.is_some_and(|rest| !rest.is_empty())
        && address.len() <= LONGEST_ADDRESS
        && !address.chars().any(|character| character.is_control() || character.is_whitespace())
}
