//! What a kill counts as.

use mohaa_domain::event::{Event, Player, Stamp};
use mohaa_domain::vocabulary::{EventType, GameType, KillKind, Team};

use crate::{Described, Server, event, player};

fn kill(attacker: Player, victim: Player) -> Event {
    event(EventType::Kill).by(attacker).to(victim)
}

fn hiro(team: Team) -> Player {
    player("unauth_1", "Hiro", team)
}

fn yuta(team: Team) -> Player {
    player("unauth_2", "Yuta", team)
}

fn first_kill(event: &Event) -> Stamp {
    Server::start().receives(0.0, event)
}

#[test]
fn a_kill_of_an_enemy_is_a_kill() {
    assert_eq!(first_kill(&kill(hiro(Team::Allies), yuta(Team::Axis))).kill_kind, KillKind::Kill);
}

#[test]
fn an_attacker_who_is_the_victim_committed_suicide() {
    for game_type in GameType::ALL {
        let own = kill(hiro(Team::Allies), hiro(Team::Allies)).game_type(*game_type);
        assert_eq!(first_kill(&own).kill_kind, KillKind::Suicide);
    }
    let renamed = kill(player("42", "Elgan", Team::Axis), player("42", "^1Elgan", Team::Axis));
    assert_eq!(first_kill(&renamed).kill_kind, KillKind::Suicide);
    let partial = kill(hiro(Team::Allies), player("unauth_1", "", Team::Allies));
    assert_eq!(first_kill(&partial).kill_kind, KillKind::Suicide);
}

#[test]
fn a_death_without_attacker_is_of_the_world() {
    for attacker in
        [Player::default(), player("world", "world", Team::Unknown), player("", "world", Team::Unknown)]
    {
        assert_eq!(first_kill(&kill(attacker, yuta(Team::Axis))).kill_kind, KillKind::World);
    }
}

#[test]
fn a_kill_without_a_victims_block_scores_all_the_same() {
    assert_eq!(first_kill(&kill(hiro(Team::Allies), Player::default())).kill_kind, KillKind::Kill);
}

#[test]
fn a_same_team_kill_is_a_team_kill_only_in_the_team_game_types() {
    for (game_type, expected) in [
        (GameType::Single, KillKind::Kill),
        (GameType::FreeForAll, KillKind::Kill),
        (GameType::TeamDeathmatch, KillKind::TeamKill),
        (GameType::Rounds, KillKind::TeamKill),
        (GameType::Objective, KillKind::TeamKill),
        (GameType::TugOfWar, KillKind::TeamKill),
        (GameType::Liberation, KillKind::TeamKill),
    ] {
        let mut server = Server::start();
        // Both teams were seen: that matters only where the game type is unknown.
        server.receives(0.0, &kill(hiro(Team::Allies), yuta(Team::Axis)).game_type(game_type));
        let friendly = kill(hiro(Team::Allies), player("unauth_3", "Sgt", Team::Allies));
        assert_eq!(server.receives(1.0, &friendly).kill_kind, expected, "{game_type:?}");
    }
}

#[test]
fn without_a_game_type_a_team_kill_needs_both_teams_to_have_been_seen_in_the_match() {
    let friendly = kill(hiro(Team::Allies), player("unauth_3", "Sgt", Team::Allies));
    let mut server = Server::start();
    assert_eq!(server.receives(0.0, &friendly).kill_kind, KillKind::Kill);
    server.receives(1.0, &event(EventType::Spawn).by(yuta(Team::Axis)));
    assert_eq!(server.receives(2.0, &friendly).kill_kind, KillKind::TeamKill);
    assert_eq!(server.receives(3600.0, &friendly).kill_kind, KillKind::Kill, "another match");
}

#[test]
fn only_the_two_sides_make_a_team_kill() {
    for team in [Team::Unknown, Team::None, Team::Spectator, Team::FreeForAll] {
        let stamp = first_kill(&kill(hiro(team), yuta(team)).game_type(GameType::TeamDeathmatch));
        assert_eq!(stamp.kill_kind, KillKind::Kill, "{team:?}");
    }
}

#[test]
fn a_team_that_the_kill_does_not_say_is_the_one_last_seen() {
    let mut server = Server::start();
    server.receives(0.0, &event(EventType::Spawn).by(yuta(Team::Allies)).game_type(GameType::Rounds));
    let stamp = server.receives(1.0, &kill(hiro(Team::Allies), yuta(Team::Unknown)));
    assert_eq!((stamp.kill_kind, stamp.target_team), (KillKind::TeamKill, Team::Allies));
}

#[test]
fn a_headshot_is_a_scoring_kill_to_head_or_helmet() {
    let hit = |hitloc: &str, event: Event| first_kill(&Event { hitloc: hitloc.into(), ..event }).headshot;
    let scoring = kill(hiro(Team::Allies), yuta(Team::Axis));
    assert!(hit("head", scoring.clone()) && hit("helmet", scoring.clone()));
    assert!(!hit("neck", scoring.clone()) && !hit("", scoring));
    assert!(!hit("head", kill(hiro(Team::Allies), hiro(Team::Allies))));
    assert!(!hit("head", kill(hiro(Team::Axis), yuta(Team::Axis)).game_type(GameType::Objective)));
    assert!(!hit("head", kill(Player::default(), yuta(Team::Axis))));
}

#[test]
fn no_other_event_counts_as_a_kill_or_headshot() {
    for event_type in EventType::ALL.iter().filter(|event_type| **event_type != EventType::Kill) {
        let other =
            Event { hitloc: "head".into(), ..event(*event_type).by(hiro(Team::Allies)).to(yuta(Team::Axis)) };
        let stamp = first_kill(&other);
        assert_eq!((stamp.kill_kind, stamp.headshot), (KillKind::None, false), "{event_type:?}");
    }
}
