//! A real process, a real directory, a real `kill -9`.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

use mohaa_spool::{Spool, SpoolOptions};

use crate::harness::*;

const DIRECTORY_VARIABLE: &str = "SPOOL_TEST_KILLED_DIRECTORY";

fn payload(seq: u64) -> Vec<u8> {
    seq.to_le_bytes().repeat(1 + seq as usize % 300)
}

/// Appends for ever and names each number on standard output when it is answered.
fn append_until_killed(directory: String) -> ! {
    let (spool, _) =
        Spool::open(SpoolOptions { segment_bytes: 200_000, ..SpoolOptions::new(directory) }).unwrap();
    loop {
        if spool.wants_rotation() {
            spool.rotate(spool.next_seq().to_le_bytes().to_vec()).unwrap();
        }
        let seq = spool.next_seq();
        let (sender, receiver) = std::sync::mpsc::channel();
        spool.append(payload(seq), 1, move |result| {
            result.unwrap();
            // In one write, so that the kill tears no line.
            std::io::stdout().write_all(format!("answered {seq}\n").as_bytes()).unwrap();
            sender.send(()).unwrap();
        });
        if seq % 16 == 0 {
            receiver.recv().unwrap();
        }
    }
}

#[test]
fn a_killed_process_loses_no_answered_record() {
    if let Ok(directory) = std::env::var(DIRECTORY_VARIABLE) {
        append_until_killed(directory);
    }
    let dir = tempfile::tempdir().unwrap();
    let mut answered = Vec::new();
    for round in 1..=3 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "killed::a_killed_process_loses_no_answered_record", "--nocapture"])
            .env(DIRECTORY_VARIABLE, dir.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let enough = answered.len() + 700 * round;
        while let Some(Ok(line)) = lines.next() {
            // The test harness may put its own words before the first one.
            let number = line.split("answered ").nth(1).and_then(|number| number.parse::<u64>().ok());
            answered.extend(number);
            if answered.len() == enough {
                child.kill().unwrap();
            }
        }
        child.wait().unwrap();
        assert!(answered.len() >= enough, "the child ended by itself");

        let (spool, recovered) = Spool::open(SpoolOptions::new(dir.path())).unwrap();
        assert_eq!(recovered.damage, []);
        let records: BTreeMap<u64, Vec<u8>> =
            collect(recovered.records).into_iter().map(|record| (record.seq, record.payload)).collect();
        for (seq, found) in &records {
            assert_eq!(found, &payload(*seq));
        }
        for seq in &answered {
            assert!(records.contains_key(seq), "{seq} was answered and is lost");
        }
        assert!(spool.next_seq() > *records.keys().next_back().unwrap());
        spool.close(LONG).unwrap();
    }
}
