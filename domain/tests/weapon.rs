//! The weapons' alias table.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeSet;

use mohaa_domain::weapon::{WeaponClass, WeaponRef, WeaponSlug, all, by_slug, find};
use proptest::prelude::*;

fn slug(name: &str) -> String {
    find(name).map(|weapon| weapon.slug().to_owned()).unwrap_or_default()
}

#[test]
fn spellings_of_one_weapon_give_one_slug_and_one_display_name() {
    for spelling in ["M1 Garand", "m1_garand", "M1-GARAND", "models/weapons/m1_garand.tik"] {
        let weapon = find(spelling).unwrap();
        assert_eq!((weapon.slug(), weapon.name()), ("m1-garand", "M1 Garand"), "{spelling}");
    }
    for spelling in ["Kar98k", "KAR98K", "Mauser KAR 98K", "kar98"] {
        assert_eq!(slug(spelling), "kar98k", "{spelling}");
    }
    for spelling in ["KAR98 - Sniper", "Kar98 Sniper", "kar98sniper"] {
        assert_eq!(slug(spelling), "kar98-sniper", "{spelling}");
    }
    assert_eq!(slug("MP44"), slug("StG 44"));
    assert_eq!(slug("m2frag_grenade"), slug("Frag Grenade"));
    assert_eq!(slug("steilhandgranate"), slug("Stielhandgranate"));
}

#[test]
fn every_item_of_the_games_tables_is_listed() {
    // Item names of Allied Assault, Spearhead and Breakthrough, as the engine registers them.
    let items = [
        "Colt 45",
        "Walther P38",
        "Hi-Standard Silenced",
        "M1 Garand",
        "Mauser KAR 98K",
        "KAR98 - Sniper",
        "Springfield '03 Sniper",
        "Thompson",
        "MP40",
        "BAR",
        "StG 44",
        "Frag Grenade",
        "Stielhandgranate",
        "Bazooka",
        "Panzerschreck",
        "Shotgun",
        "Packed MG42 Turret",
        "Webley Revolver",
        "Nagant Revolver",
        "Beretta",
        "Lee-Enfield",
        "SVT 40",
        "Mosin Nagant Rifle",
        "G 43",
        "Enfield L42A1",
        "Carcano",
        "DeLisle",
        "Sten Mark II",
        "PPSH SMG",
        "Moschetto",
        "FG 42",
        "Vickers-Berthier",
        "Breda",
        "F1 Grenade",
        "Mills Grenade",
        "Nebelhandgranate",
        "M18 Smoke Grenade",
        "RDG-1 Smoke Grenade",
        "Bomba A Mano",
        "Bomba A Mano Breda",
        "PIAT",
    ];
    let slugs: BTreeSet<_> = items
        .iter()
        .map(|item| match find(item) {
            Some(WeaponRef::Known(weapon)) => weapon.slug,
            other => panic!("{item} is {other:?}"),
        })
        .collect();
    assert_eq!(slugs.len(), items.len(), "two items share a slug");
}

#[test]
fn what_stands_for_no_weapon_is_none() {
    for word in ["", " ", "none", "None", "world", "falling", "NULL", "Suicide", "crush"] {
        assert_eq!(find(word), None, "{word:?}");
    }
}

#[test]
fn an_explosion_is_a_weapon() {
    assert_eq!(slug("Explosion"), "explosion");
}

#[test]
fn an_unlisted_weapon_gets_a_slug_of_its_name_and_keeps_the_name() {
    let weapon = find("Super  Gun_2000!").unwrap();
    assert_eq!(weapon, WeaponRef::Unlisted { slug: "super-gun-2000".into(), name: "Super  Gun_2000!" });
    assert_eq!(weapon.class(), WeaponClass::Other);
    assert!(find("短剣").unwrap().slug().starts_with("weapon-"));
    assert_ne!(slug("短剣"), slug("長剣"));
}

#[test]
fn every_listed_weapon_is_found_by_slug_and_by_name() {
    let slugs: BTreeSet<_> = all().map(|weapon| weapon.slug).collect();
    assert_eq!(slugs.len(), all().count());
    for weapon in all() {
        assert_eq!(by_slug(weapon.slug), Some(weapon));
        assert_eq!(find(weapon.name), Some(WeaponRef::Known(weapon)));
        assert_eq!(weapon.name.parse::<WeaponSlug>().unwrap().as_str(), weapon.slug);
    }
    assert_eq!(by_slug("M1 Garand"), None);
    assert_eq!(by_slug("no-such-weapon"), None);
}

#[test]
fn a_path_holds_a_slug_or_any_spelling_of_a_listed_weapon() {
    assert_eq!("super-gun-2000".parse::<WeaponSlug>().unwrap().as_str(), "super-gun-2000");
    assert_eq!("M1 Garand".parse::<WeaponSlug>().unwrap().as_str(), "m1-garand");
    for text in ["", "none", "Super Gun", "-x", "x-", "<script>", &"x".repeat(49)] {
        assert!(text.parse::<WeaponSlug>().is_err(), "{text}");
    }
}

proptest! {
    #[test]
    fn the_slug_of_any_name_is_an_address_that_means_the_same_weapon(name in "\\PC{1,60}") {
        if let Some(weapon) = find(&name) {
            let parsed: WeaponSlug = weapon.slug().parse().unwrap();
            prop_assert_eq!(parsed.as_str(), weapon.slug());
            prop_assert!(weapon.slug().len() <= 48);
        }
    }
}
