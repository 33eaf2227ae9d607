//! What actors of live matches ask of players at about the same time is asked together: matches that begin, on a thousand servers or
//! on one whose players come one after the other, would otherwise keep the engine busy with small questions.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use mohaa_actors::live::Standing;
use mohaa_domain::event::Text;
use tokio::sync::oneshot;
use tokio::sync::oneshot::error::TryRecvError;
use uuid::Uuid;

/// So long it is waited for others: as long as a player would not notice.
const GATHERED_FOR: Duration = Duration::from_millis(250);
/// Of one question: its text stays well below what the engine takes.
const MOST_IDS: usize = 500;
/// Of a question after others that were too much: about those of one match.
const FEWEST_IDS: usize = 30;

/// Players of a match.
pub(super) struct Ask {
    pub(super) match_id: Uuid,
    /// Each with all ids of the same person.
    pub(super) persons: Vec<(Text, Vec<String>)>,
    told: oneshot::Sender<HashMap<Text, Standing>>,
}

impl Ask {
    pub(super) fn tell(self, standings: HashMap<Text, Standing>) {
        // Whoever asked may have gone.
        let _ = self.told.send(standings);
    }
}

/// Clones are one.
#[derive(Clone)]
pub(super) struct Asks {
    waiting: Arc<Mutex<VecDeque<Ask>>>,
    /// Whoever has it answers for all who wait.
    turn: Arc<tokio::sync::Mutex<()>>,
    most_ids: Arc<AtomicUsize>,
}

impl Default for Asks {
    fn default() -> Self {
        Self { waiting: Arc::default(), turn: Arc::default(), most_ids: Arc::new(AtomicUsize::new(MOST_IDS)) }
    }
}

impl Asks {
    /// Waits until somebody has answered, or does it: `answer` is given what can be asked together, tells each, and says whether all was
    /// known.
    pub(super) async fn put<Answering: Future<Output = bool>>(
        &self,
        match_id: Uuid,
        persons: Vec<(Text, Vec<String>)>,
        answer: impl Fn(VecDeque<Ask>) -> Answering,
    ) -> HashMap<Text, Standing> {
        let (told, mut standings) = oneshot::channel();
        self.waiting().push_back(Ask { match_id, persons, told });
        tokio::select! {
            biased;
            told = &mut standings => told.unwrap_or_default(),
            _turn = self.turn.lock() => loop {
                match standings.try_recv() {
                    Ok(standings) => return standings,
                    // It could not be answered.
                    Err(TryRecvError::Closed) => return HashMap::new(),
                    Err(TryRecvError::Empty) => {}
                }
                tokio::time::sleep(GATHERED_FOR).await;
                // What was too much for the engine is asked in smaller parts, when it is asked again.
                let most = self.most_ids.load(Ordering::Relaxed);
                let next = match answer(self.together(most)).await {
                    true => (2 * most).min(MOST_IDS),
                    false => (most / 2).max(FEWEST_IDS),
                };
                self.most_ids.store(next, Ordering::Relaxed);
            },
        }
    }

    /// Takes what can be asked together, the first ones first. A person whom two matches ask for is asked for one after the other, as
    /// each leaves out itself.
    fn together(&self, most_ids: usize) -> VecDeque<Ask> {
        let mut asked: HashMap<String, Uuid> = HashMap::new();
        let mut waiting = self.waiting();
        let (taken, left) = waiting.drain(..).partition(|ask| {
            let mut ids = ask.persons.iter().flat_map(|(_, ids)| ids);
            let fits = asked.is_empty() || asked.len() + ids.clone().count() <= most_ids;
            let is_taken =
                fits && ids.all(|id| asked.get(id).is_none_or(|match_id| *match_id == ask.match_id));
            if is_taken {
                let ids = ask.persons.iter().flat_map(|(_, ids)| ids.iter().cloned());
                asked.extend(ids.map(|id| (id, ask.match_id)));
            }
            is_taken
        });
        *waiting = left;
        taken
    }

    fn waiting(&self) -> MutexGuard<'_, VecDeque<Ask>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    fn ask(asks: &Asks, match_number: u128, ids: &[&str]) -> oneshot::Receiver<HashMap<Text, Standing>> {
        let (told, standings) = oneshot::channel();
        let persons = ids.iter().map(|id| (Text::from(*id), vec![(*id).to_owned()])).collect();
        asks.waiting().push_back(Ask { match_id: Uuid::from_u128(match_number), persons, told });
        standings
    }

    fn matches(asks: &VecDeque<Ask>) -> Vec<u128> {
        asks.iter().map(|ask| ask.match_id.as_u128()).collect()
    }

    #[test]
    fn what_waits_is_asked_together_but_nobody_for_two_matches() {
        let asks = Asks::default();
        let _waits = [(1, &["a", "b"][..]), (2, &["c"]), (3, &["b", "d"]), (1, &["a", "e"]), (4, &["d"])]
            .map(|(match_number, ids)| ask(&asks, match_number, ids));
        assert_eq!(matches(&asks.together(MOST_IDS)), [1, 2, 1, 4]);
        assert_eq!(matches(&asks.together(MOST_IDS)), [3]);
        assert_eq!(matches(&asks.together(MOST_IDS)), []);
    }

    #[test]
    fn a_question_is_never_longer_than_one_ask_or_what_is_allowed() {
        let asks = Asks::default();
        let ids: Vec<String> = (0..MOST_IDS + 1).map(|number| number.to_string()).collect();
        let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
        let _waits = [ask(&asks, 1, &ids), ask(&asks, 2, &["x"]), ask(&asks, 3, &["y"])];
        assert_eq!(matches(&asks.together(MOST_IDS)), [1]);
        assert_eq!(matches(&asks.together(MOST_IDS)), [2, 3]);
    }

    #[actix_web::test]
    async fn everybody_is_told_by_whoever_has_the_turn() {
        let asks = Asks::default();
        let questions = AtomicUsize::new(0);
        let answer = async |taken: VecDeque<Ask>| {
            questions.fetch_add(1, Ordering::Relaxed);
            for ask in taken {
                let standings = ask.persons.iter().map(|(id, _)| (id.clone(), Standing::default())).collect();
                ask.tell(standings);
            }
            true
        };
        let persons = |number: u32| {
            let id = format!("p{number}");
            vec![(Text::from(&id), vec![id])]
        };
        let put = |number: u32| asks.put(Uuid::from_u128(number.into()), persons(number), &answer);
        let told = futures_util::future::join_all((0..20).map(put)).await;
        for (number, standings) in told.iter().enumerate() {
            assert!(standings.contains_key(format!("p{number}").as_str()) && standings.len() == 1);
        }
        assert_eq!(questions.load(Ordering::Relaxed), 1);
    }

    #[actix_web::test]
    async fn what_was_too_much_is_asked_in_smaller_parts() {
        let asks = Asks::default();
        let sizes = RefCell::new(Vec::new());
        let answer = async |taken: VecDeque<Ask>| {
            sizes.borrow_mut().push(taken.len());
            taken.len() <= 100
        };
        for _ in 0..3 {
            let put = |number: u32| {
                let id = format!("p{number}");
                asks.put(Uuid::from_u128(number.into()), vec![(Text::from(&id), vec![id])], &answer)
            };
            let told = futures_util::future::join_all((0..400).map(put)).await;
            assert!(told.iter().all(HashMap::is_empty), "those who were not answered are told so");
        }
        assert_eq!(sizes.borrow()[..4], [400, 250, 125, 25], "by halves");
    }
}
