//! How much of a small machine ClickHouse may use to merge what is stored.

use std::num::NonZero;
use std::thread::available_parallelism;

/// As many threads as the engine has of itself, whatever the machine.
const MOST_THREADS: usize = 16;

/// Lines of the engine's configuration: a thread of merges for each core. The engine would have sixteen, which on two cores leave little
/// to the inserts beside them whenever large parts are due. What it holds back of its pool is counted in entries, two a thread;
/// it refuses to start where that is more than there are.
pub fn merge_settings() -> String {
    let cores = available_parallelism().map_or(2, NonZero::get);
    for_cores(cores)
}

fn for_cores(cores: usize) -> String {
    let threads = cores.clamp(2, MOST_THREADS);
    format!(
        "<background_pool_size>{threads}</background_pool_size>\n\
         <merge_tree>\n\
         <number_of_free_entries_in_pool_to_lower_max_size_of_merge>{threads}</number_of_free_entries_in_pool_to_lower_max_size_of_merge>\n\
         <number_of_free_entries_in_pool_to_execute_mutation>1</number_of_free_entries_in_pool_to_execute_mutation>\n\
         <number_of_free_entries_in_pool_to_execute_optimize_entire_partition>1</number_of_free_entries_in_pool_to_execute_optimize_entire_partition>\n\
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
}
