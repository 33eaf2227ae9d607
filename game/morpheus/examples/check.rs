//! Says of each script whether a game server would compile it: `cargo run -p mohaa-morpheus --example check -- FILE…`.
//!
//! Commands and labels are not looked up, only the grammar.

use std::process::ExitCode;

fn main() -> ExitCode {
    let mut all_are_scripts = true;
    for file in std::env::args_os().skip(1) {
        let name = file.to_string_lossy();
        let verdict = std::fs::read(&file)
            .map_err(|error| format!("{name}: {error}"))
            .and_then(|text| mohaa_morpheus::parse(&text).map_err(|error| format!("{name}:{error}")));
        match verdict {
            Ok(script) => println!("{name}: {} statements", script.body.len()),
            Err(error) => {
                println!("{error}");
                all_are_scripts = false;
            }
        }
    }
    if all_are_scripts { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
