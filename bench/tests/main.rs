//! The yardstick is only one if it does the same: here its events are compared with the service's.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use mohaa_bench::engine::Rows;
use mohaa_domain::event::{Event, Millis};
use mohaa_domain::vocabulary::EventType;
use mohaa_domain::wire::{self, Limits};
use mohaa_hot::mirror;
use mohaa_hot::traffic::{BATCH_EVENTS, ServerTraffic};

fn decoded(body: &[u8]) -> Vec<Event> {
    let decoded = wire::decode(body, Limits { max_events: 1000 }).unwrap();
    assert_eq!(decoded.rejected, []);
    assert_eq!(decoded.unreadable_fields, 0);
    decoded.events
}

#[test]
fn the_mirror_reads_the_same_events_as_the_service_but_for_what_has_no_place() {
    for server in 0..4 {
        let traffic = ServerTraffic::of_server(server);
        for body in traffic.batches.iter().chain(&traffic.singles).chain([&traffic.prelude]) {
            let mut expected = decoded(body);
            expected.iter_mut().for_each(|event| event.extra.clear());
            assert_eq!(mirror::events_of(body).unwrap(), expected);
        }
    }
}

#[test]
fn the_mirror_of_forms_reads_the_same_events_too() {
    for server in 0..4 {
        let traffic = ServerTraffic::of_server(server);
        for (forms, arrays) in traffic.forms.iter().zip(&traffic.batches) {
            let mut expected = decoded(forms);
            assert_eq!(expected.len(), BATCH_EVENTS);
            expected.iter_mut().for_each(|event| event.extra.clear());
            assert_eq!(mirror::events_of_forms(forms).unwrap(), expected);
            // Forms say the same as arrays, in their own words.
            for (form, array) in expected.iter().zip(decoded(arrays)) {
                assert_eq!(form.event_type, array.event_type);
                assert_eq!((&form.player, &form.target), (&array.player, &array.target));
                assert_eq!(
                    (form.weapon_name.as_str(), form.damage),
                    (array.weapon_name.as_str(), array.damage)
                );
                assert_eq!((&form.hitloc, &form.means_of_death), (&array.hitloc, &array.means_of_death));
            }
        }
    }
}

#[test]
fn a_battle_has_events_of_every_frequent_type_and_of_many_players() {
    let traffic = ServerTraffic::of_server(1);
    let events: Vec<Event> = traffic.batches.iter().flat_map(|body| decoded(body)).collect();
    assert_eq!(events.len(), traffic.batches.len() * BATCH_EVENTS);
    for event_type in [EventType::Distance, EventType::Kill, EventType::Damage, EventType::WeaponFire] {
        assert!(events.iter().any(|event| event.event_type == event_type), "{event_type:?}");
    }
    let mut players: Vec<&str> = events.iter().map(|event| event.player.guid.as_str()).collect();
    players.sort_unstable();
    players.dedup();
    assert!(players.len() >= 32, "{players:?}");
}

#[test]
fn equal_servers_post_equal_bodies_and_others_do_not() {
    let bodies = |server| ServerTraffic::of_server(server).batches;
    assert_eq!(bodies(3), bodies(3));
    assert_ne!(bodies(3), bodies(4));
}

#[test]
fn every_event_of_the_traffic_becomes_a_row() {
    let servers: Vec<ServerTraffic> = (0..2).map(ServerTraffic::of_server).collect();
    let events: usize = servers.iter().map(|server| 1 + server.batches.len() * BATCH_EVENTS).sum();
    assert_eq!(Rows::of_traffic(&servers, Millis(1_800_000_000_000)).unwrap().count(), events);
}
