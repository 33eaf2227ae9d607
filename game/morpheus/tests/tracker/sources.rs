//! The scripts as texts: the engine's compiler takes them.

use std::collections::BTreeSet;

use mohaa_morpheus::ast::{Expression, ExpressionKind, Script, Statement, StatementKind};
use mohaa_morpheus::parse;

use crate::server::{ENGINE_COMMANDS, SCRIPTS, source};

/// What the language itself has.
const LANGUAGE_COMMANDS: [&str; 9] =
    ["end", "exec", "thread", "wait", "waitthread", "waittill", "typeof", "int", "chartoint"];

fn read(script: &str) -> Script {
    parse(&source(script)).unwrap_or_else(|error| panic!("{script}:{error}"))
}

/// A command's name and arguments.
type Used<'s> = (&'s str, &'s [Expression]);

fn commands_of<'s>(statements: &'s [Statement], found: &mut Vec<Used<'s>>) {
    for statement in statements {
        match &statement.kind {
            StatementKind::Command { name, arguments } => {
                found.push((name, arguments));
                arguments.iter().for_each(|one| calls_of(one, found));
            }
            StatementKind::Method { listener, name, arguments } => {
                found.push((name, arguments));
                calls_of(listener, found);
                arguments.iter().for_each(|one| calls_of(one, found));
            }
            StatementKind::Block(body) => commands_of(body, found),
            StatementKind::Assign { target, value, .. } => {
                calls_of(target, found);
                calls_of(value, found);
            }
            StatementKind::If { condition, then, otherwise } => {
                calls_of(condition, found);
                commands_of(std::slice::from_ref(then), found);
                otherwise.iter().for_each(|one| commands_of(std::slice::from_ref(one), found));
            }
            StatementKind::While { condition, body } | StatementKind::DoWhile { body, condition } => {
                calls_of(condition, found);
                commands_of(std::slice::from_ref(body), found);
            }
            StatementKind::For { before, condition, after, body } => {
                before.iter().for_each(|one| commands_of(std::slice::from_ref(one), found));
                calls_of(condition, found);
                commands_of(after, found);
                commands_of(std::slice::from_ref(body), found);
            }
            StatementKind::Switch { value, body } => {
                calls_of(value, found);
                commands_of(body, found);
            }
            StatementKind::Try { body, catch } => {
                commands_of(body, found);
                commands_of(catch, found);
            }
            StatementKind::Nothing
            | StatementKind::Label { .. }
            | StatementKind::Case { .. }
            | StatementKind::Break
            | StatementKind::Continue => {}
        }
    }
}

fn calls_of<'s>(expression: &'s Expression, found: &mut Vec<Used<'s>>) {
    match &expression.kind {
        ExpressionKind::Call { name, arguments } => {
            found.push((name, arguments));
            arguments.iter().for_each(|one| calls_of(one, found));
        }
        ExpressionKind::MethodCall { listener, name, arguments } => {
            found.push((name, arguments));
            calls_of(listener, found);
            arguments.iter().for_each(|one| calls_of(one, found));
        }
        ExpressionKind::TargetName(of)
        | ExpressionKind::Field { of, .. }
        | ExpressionKind::Size(of)
        | ExpressionKind::Unary { operand: of, .. } => calls_of(of, found),
        ExpressionKind::Index { of, index } => {
            calls_of(of, found);
            calls_of(index, found);
        }
        ExpressionKind::Binary { left, right, .. } => {
            calls_of(left, found);
            calls_of(right, found);
        }
        ExpressionKind::Ternary { condition, then, otherwise } => {
            [condition, then, otherwise].into_iter().for_each(|one| calls_of(one, found));
        }
        ExpressionKind::Vector(numbers) => numbers.iter().for_each(|one| calls_of(one, found)),
        ExpressionKind::Array(values) => values.iter().for_each(|one| calls_of(one, found)),
        ExpressionKind::MakeArray(lines) => lines.iter().flatten().for_each(|one| calls_of(one, found)),
        ExpressionKind::Integer(_)
        | ExpressionKind::Float(_)
        | ExpressionKind::Text(_)
        | ExpressionKind::Null
        | ExpressionKind::Nil
        | ExpressionKind::Listener(_) => {}
    }
}

fn labels_of(script: &Script) -> BTreeSet<String> {
    script
        .body
        .iter()
        .filter_map(|statement| match &statement.kind {
            StatementKind::Label { name, .. } => Some(name.to_string()),
            _ => None,
        })
        .collect()
}

fn text_of(expression: &Expression) -> Option<String> {
    match &expression.kind {
        ExpressionKind::Text(text) => Some(String::from_utf8_lossy(text).into_owned()),
        _ => None,
    }
}

#[test]
fn every_script_is_morpheus() {
    SCRIPTS.into_iter().for_each(|script| drop(read(script)));
}

/// The console and old engines know no other characters.
#[test]
fn the_scripts_are_ascii() {
    for script in SCRIPTS {
        assert!(source(script).is_ascii(), "{script}");
    }
}

/// The compiler refuses a whole file for one command that the engine does not have.
#[test]
fn the_scripts_use_no_command_that_engines_lack() {
    for name in SCRIPTS {
        let script = read(name);
        let mut used = Vec::new();
        commands_of(&script.body, &mut used);
        for (command, _) in used {
            let is_known = LANGUAGE_COMMANDS.contains(&command) || ENGINE_COMMANDS.contains(&command);
            assert!(is_known, "{name}: {command}");
        }
    }
}

/// An engine without `curl_post` compiles all files but the one that asks for it, and the one of the commands.
#[test]
fn only_the_files_that_ask_the_service_need_an_engine_that_can() {
    for name in ["tracker.scr", "tracker_events.scr", "DMprecache.scr"] {
        let script = read(name);
        let mut used = Vec::new();
        commands_of(&script.body, &mut used);
        assert!(used.iter().all(|(command, _)| !command.starts_with("curl")), "{name}");
    }
}

#[test]
fn every_label_that_is_started_exists() {
    for name in SCRIPTS {
        let script = read(name);
        let own_labels = labels_of(&script);
        let mut used = Vec::new();
        commands_of(&script.body, &mut used);
        for (command, arguments) in used {
            let started = match command {
                "thread" | "exec" | "waitthread" => arguments.first(),
                "registercmd" => arguments.get(1),
                "curl_post" | "curl_get" => arguments.last(),
                _ => continue,
            };
            let started = started.unwrap_or_else(|| panic!("{name}: {command} starts nothing"));
            let (file, label) = match &started.kind {
                ExpressionKind::Array(parts) => (text_of(&parts[0]), text_of(&parts[1])),
                _ => match text_of(started).as_deref().map(|text| text.split_once("::")) {
                    Some(Some((file, label))) => (Some(file.to_owned()), Some(label.to_owned())),
                    _ => (None, text_of(started)),
                },
            };
            let label = label.unwrap_or_else(|| panic!("{name}: {command} starts {started:?}"));
            let labels = match &file {
                Some(file) => {
                    let file = file.strip_prefix("global/").unwrap_or_else(|| panic!("{name}: {file}"));
                    labels_of(&read(file))
                }
                None if label.ends_with(".scr") => {
                    read(label.strip_prefix("global/").unwrap_or_else(|| panic!("{name}: {label}")));
                    continue;
                }
                None => own_labels.clone(),
            };
            assert!(labels.contains(&label), "{name}: {command} {file:?} {label}");
        }
    }
}

/// What the engine is given to call back exists too.
#[test]
fn every_subscription_is_of_a_label_of_the_same_file() {
    for name in SCRIPTS {
        let script = read(name);
        let labels = labels_of(&script);
        let mut used = Vec::new();
        commands_of(&script.body, &mut used);
        for (_, arguments) in used.iter().filter(|(command, _)| *command == "waitthread") {
            if arguments.first().and_then(text_of).as_deref() == Some("subscribe") {
                let label = arguments.get(2).and_then(text_of).unwrap_or_default();
                assert!(labels.contains(&label), "{name}: {label}");
            }
        }
    }
}

#[test]
fn a_script_that_is_cut_anywhere_is_read_or_refused() {
    let script = source("tracker_events.scr");
    for cut in (0..script.len()).step_by(37) {
        let _ = parse(&script[..cut]);
    }
}
