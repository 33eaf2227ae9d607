//! `game/README.md` says what the scripts do.

use std::collections::{BTreeMap, BTreeSet};

use crate::events::fields_by_type;
use crate::server::{ENGINE_EVENTS, SCRIPTS, source};

/// Lines of the table whose first head is `event`: what stands in backquotes, cell by cell.
fn table() -> Vec<Vec<Vec<String>>> {
    let document = String::from_utf8(source("README.md")).expect("UTF-8");
    let lines = document.lines().skip_while(|line| !line.starts_with("| event |")).skip(2);
    lines
        .take_while(|line| line.starts_with('|'))
        .map(|line| {
            let cells = line.trim_matches('|').split('|');
            cells
                .map(|cell| {
                    let quoted = cell.split('`').skip(1).step_by(2);
                    quoted.flat_map(str::split_whitespace).map(str::to_owned).collect()
                })
                .collect()
        })
        .collect()
}

#[test]
fn the_table_of_events_is_what_the_scripts_send() {
    let documented: BTreeMap<String, BTreeSet<String>> =
        table().into_iter().map(|cells| (cells[0][0].clone(), cells[1].iter().cloned().collect())).collect();
    assert_eq!(documented, fields_by_type());
}

#[test]
fn the_table_names_events_that_the_scripts_subscribe_to() {
    let scripts: String =
        SCRIPTS.iter().map(|script| String::from_utf8_lossy(&source(script)).into_owned()).collect();
    let mut named = BTreeSet::new();
    for cells in table() {
        for event in &cells[2] {
            assert!(ENGINE_EVENTS.contains(&event.as_str()), "{event}");
            assert!(scripts.contains(&format!("subscribe \"{event}\"")), "{event}");
            named.insert(event.clone());
        }
    }
    // `player_stand` sends nothing: it only ends a stance.
    let all: BTreeSet<String> = ENGINE_EVENTS
        .iter()
        .filter(|event| **event != "player_stand")
        .map(|event| (*event).to_owned())
        .collect();
    assert_eq!(named, all);
}

#[test]
fn every_script_is_named_where_it_is_installed() {
    let document = String::from_utf8(source("README.md")).expect("UTF-8");
    for script in SCRIPTS {
        assert!(document.contains(&format!("`{script}`")), "{script}");
    }
}
