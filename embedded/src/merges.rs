//! How much of a small machine ClickHouse may use to merge what is stored.

use std::num::NonZero;
use std::thread::available_parallelism;

/// As many threads as the engine has of itself, whatever the machine.
const MOST_THREADS: usize = 16;

/// Lines of the engine's configuration: a thread of merges for each core. The engine would have sixteen, which on two cores leave little
/// to the inserts beside them whenever large parts are due. The pool has two entries a thread. Of its 32 the engine keeps 8 for small
/// merges, begins a mutation while 20 are free, and merges a whole partition while 25 are; here it is the same share of those that there
/// are, for it refuses to start where it should keep more, mutations must leave room for merges, and merges that never
/// rest must not keep mutations from beginning.
pub fn merge_settings() -> String {
    let cores = available_parallelism().map_or(2, NonZero::get);
    for_cores(cores)
}

fn for_cores(cores: usize) -> String {
    let threads = cores.clamp(2, MOST_THREADS);
    let for_small_merges = (threads / 2).max(2);
    let before_a_mutation = threads * 5 / 4;
    let before_a_whole_partition = threads * 25 / 16;
    format!(
        "<background_pool_size>{threads}</background_pool_size>\n\
         <merge_tree>\n\
         <number_of_free_entries_in_pool_to_lower_max_size_of_merge>{for_small_merges}</number_of_free_entries_in_pool_to_lower_max_size_of_merge>\n\
         <number_of_free_entries_in_pool_to_execute_mutation>{before_a_mutation}</number_of_free_entries_in_pool_to_execute_mutation>\n\
         <number_of_free_entries_in_pool_to_execute_optimize_entire_partition>{before_a_whole_partition}</number_of_free_entries_in_pool_to_execute_optimize_entire_partition>\n\
         </merge_tree>\n"
    )
}

#[cfg(test)]
mod tests {
    use super::for_cores;

    #[test]
    fn merges_have_a_thread_for_each_core_between_two_and_sixteen() {
        for (cores, threads) in [(1, 2), (2, 2), (8, 8), (64, 16)] {
            let settings = for_cores(cores);
            assert!(settings.contains(&format!("<background_pool_size>{threads}</")), "{settings}");
        }
    }

    #[test]
    fn what_the_engine_keeps_free_is_what_it_keeps_of_itself_or_its_share() {
        for (cores, kept) in [(2, [2, 2, 3]), (8, [4, 10, 12]), (16, [8, 20, 25])] {
            let settings = for_cores(cores);
            let names = ["lower_max_size_of_merge", "execute_mutation", "execute_optimize_entire_partition"];
            for (name, kept) in names.into_iter().zip(kept) {
                let line = format!("_to_{name}>{kept}</");
                assert!(settings.contains(&line), "{line} in {settings}");
            }
        }
    }
}
