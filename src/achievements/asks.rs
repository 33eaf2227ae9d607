//! What actors of live matches ask of players at about the same time is asked together: matches that begin, on a thousand servers or
//! on one whose players come one after the other, would otherwise keep the engine busy with small questions.

use std::collections::{HashMap, VecDeque};
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
#[derive(Clone, Default)]
pub(super) struct Asks {
    waiting: Arc<Mutex<VecDeque<Ask>>>,
    /// Whoever has it answers for all who wait.
    turn: Arc<tokio::sync::Mutex<()>>,
}

impl Asks {
    /// Waits until somebody has answered, or does it: `answer` is given what can be asked together, and tells each.
    pub(super) async fn put<Answering: Future<Output = ()>>(
        &self,
        match_id: Uuid,
        persons: Vec<(Text, Vec<String>)>,
        answer: impl Fn(VecDeque<Ask>) -> Answering,
    ) -> HashMap<Text, Standing> {
        let (told, mut standings) = oneshot::channel();
        self.waiting().push_back(Ask { match_id, persons, told });
        let _turn = self.turn.lock().await;
        loop {
            match standings.try_recv() {
                Ok(standings) => return standings,
                // Who answered for all was cut off.
                Err(TryRecvError::Closed) => return HashMap::new(),
                Err(TryRecvError::Empty) => {}
            }
            tokio::time::sleep(GATHERED_FOR).await;
            answer(self.together()).await;
        }
    }

    /// Takes what can be asked together, the first ones first. A person whom two matches ask for is asked for one after the other, as
    /// each leaves out itself.
    fn together(&self) -> VecDeque<Ask> {
        let mut asked: HashMap<String, Uuid> = HashMap::new();
        let mut waiting = self.waiting();
        let (taken, left) = waiting.drain(..).partition(|ask| {
            let mut ids = ask.persons.iter().flat_map(|(_, ids)| ids);
            let fits = asked.is_empty() || asked.len() + ids.clone().count() <= MOST_IDS;
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
        assert_eq!(matches(&asks.together()), [1, 2, 1, 4]);
        assert_eq!(matches(&asks.together()), [3]);
        assert_eq!(matches(&asks.together()), []);
    }

    #[test]
    fn a_question_is_never_longer_than_one_ask_or_what_is_allowed() {
        let asks = Asks::default();
        let ids: Vec<String> = (0..MOST_IDS + 1).map(|number| number.to_string()).collect();
        let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
        let _waits = [ask(&asks, 1, &ids), ask(&asks, 2, &["x"]), ask(&asks, 3, &["y"])];
        assert_eq!(matches(&asks.together()), [1]);
        assert_eq!(matches(&asks.together()), [2, 3]);
    }

    #[actix_web::test]
    async fn everybody_is_told_by_whoever_has_the_turn() {
        let asks = Asks::default();
        let questions = std::sync::atomic::AtomicUsize::new(0);
        let answer = async |taken: VecDeque<Ask>| {
            questions.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            for ask in taken {
                let standings = ask.persons.iter().map(|(id, _)| (id.clone(), Standing::default())).collect();
                ask.tell(standings);
            }
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
        assert_eq!(questions.load(std::sync::atomic::Ordering::Relaxed), 1);
    }
}
