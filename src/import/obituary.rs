//! Obituaries, as the game writes them into the console of a server: `Anna was rifled by Bert in the head`.
//!
//! The phrases are those of the game's multiplayer, base game and expansions, with their spelling. A name may hold anything, a
//! phrase too: of several ways to read a line the one whose names are known is taken.

/// Who killed whom, as far as a line says it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Obituary<'a> {
    pub victim: &'a str,
    /// None of who died by himself or of the world.
    pub attacker: Option<&'a str>,
    pub means: &'static str,
    /// A kind of weapon rather than a weapon; `""` where the phrase fits many.
    pub weapon: &'static str,
    pub hitloc: &'static str,
}

/// Between victim and attacker, behind the attacker, means of death, kind of weapon.
type ByAttacker = (&'static str, &'static str, &'static str, &'static str);

const BY_ATTACKER: [ByAttacker; 25] = [
    (" was crushed by ", "", "crush", ""),
    (" was telefragged by ", "", "telefrag", ""),
    (" was pushed over the edge by ", "", "falling", ""),
    (" was blown away by ", "", "explosion", ""),
    (" tripped on ", "'s grenade", "grenade", "Grenade"),
    (" is picking ", "'s shrapnel out of his teeth", "grenade", "Grenade"),
    (" took ", "'s rocket right in the kisser", "rocket", "Rocket launcher"),
    (" took ", "'s rocket in the face", "rocket", "Rocket launcher"),
    (" was knocked out by ", "", "impact", ""),
    (" was shot by ", "", "bullet", ""),
    (" was gunned down by ", "", "bullet", "Pistol"),
    (" was sniped by ", "", "bullet", "Sniper rifle"),
    (" was rifled by ", "", "bullet", "Rifle"),
    (" was perforated by ", "'s SMG", "bullet", "SMG"),
    (" was perforated by ", "'s' SMG", "bullet", "SMG"),
    (" was machine-gunned by ", "", "bullet", "Machine gun"),
    (" was run over by ", "", "vehicle", ""),
    (" was burned up by ", "", "fire", ""),
    (" was impaled by ", "", "impale", ""),
    (" was bashed by ", "", "bash", ""),
    (" was clubbed by ", "", "bash", ""),
    (" was hunted down by ", "", "shotgun", "Shotgun"),
    (" was pumped full of buckshot by ", "", "shotgun", "Shotgun"),
    (" stepped on ", "'s landmine", "landmine", "Landmine"),
    (" was killed by ", "", "none", ""),
];

/// Behind the victim, means of death, and whether it was the victim's own doing.
const ALONE: [(&str, &str, bool); 16] = [
    (" took himself out of commision", "suicide", true),
    (" was burned to a crisp", "lava", false),
    (" was melted to nothing", "slime", false),
    (" cratered", "falling", false),
    (" blew himself up", "explosion", true),
    (" played catch with himself", "grenade", true),
    (" tripped on his own grenade", "grenade", true),
    (" rocketed himself", "rocket", true),
    (" shot himself", "bullet", true),
    (" was hoist on his own pitard", "landmine", true),
    (" blew up", "explosion", false),
    (" caught a rocket", "rocket", false),
    (" was shot", "bullet", false),
    (" stepped on a land mine", "landmine", false),
    (" was crushed", "crush", false),
    (" died", "none", false),
];

const LOCATIONS: [(&str, &str); 19] = [
    ("head", "head"),
    ("helmet", "helmet"),
    ("neck", "neck"),
    ("upper torso", "torso_upper"),
    ("middle torso", "torso_mid"),
    ("lower torso", "torso_lower"),
    ("pelvis", "pelvis"),
    ("upper right arm", "r_arm_upper"),
    ("upper left arm", "l_arm_upper"),
    ("upper right leg", "r_leg_upper"),
    ("upper left leg", "l_leg_upper"),
    ("lower right arm", "r_arm_lower"),
    ("lower left arm", "l_arm_lower"),
    ("lower right leg", "r_leg_lower"),
    ("lower left leg", "l_leg_lower"),
    ("right hand", "r_hand"),
    ("left hand", "l_hand"),
    ("right foot", "r_foot"),
    ("left foot", "l_foot"),
];

/// Reads a line; `is_known` says whether somebody of this name was seen. None of a line that is no obituary.
pub(super) fn read<'a>(line: &'a str, is_known: impl Fn(&str) -> bool) -> Option<Obituary<'a>> {
    let (text, hitloc) = without_location(line);
    let mut readings: Vec<Obituary<'a>> = Vec::new();
    for (between, behind, means, weapon) in BY_ATTACKER {
        for (at, _) in text.match_indices(between) {
            let Some(attacker) = text[at + between.len()..].strip_suffix(behind) else { continue };
            if at > 0 && !attacker.is_empty() {
                readings.push(Obituary {
                    victim: &text[..at],
                    attacker: Some(attacker),
                    means,
                    weapon,
                    hitloc,
                });
            }
        }
    }
    for (behind, means, is_own_doing) in ALONE {
        if let Some(victim) = text.strip_suffix(behind).filter(|victim| !victim.is_empty()) {
            let attacker = is_own_doing.then_some(victim);
            readings.push(Obituary { victim, attacker, means, weapon: "", hitloc });
        }
    }
    let strangers = |reading: &Obituary| {
        usize::from(!is_known(reading.victim))
            + usize::from(reading.attacker.is_some_and(|name| !is_known(name)))
    };
    // Of equal ones the first: the more telling phrases stand in front.
    readings.into_iter().min_by_key(strangers)
}

/// The line without where it hit, and that.
fn without_location(line: &str) -> (&str, &'static str) {
    for (words, hitloc) in LOCATIONS {
        if let Some(rest) = line.strip_suffix(words).and_then(|rest| rest.strip_suffix(" in the ")) {
            return (rest, hitloc);
        }
    }
    (line, "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn assert_read(
        line: &str,
        victim: &str,
        attacker: Option<&str>,
        means: &str,
        weapon: &str,
        hitloc: &str,
    ) {
        let read = read(line, |name| name == victim || Some(name) == attacker);
        let read = read.map(|found| (found.victim, found.attacker, found.means, found.weapon, found.hitloc));
        assert_eq!(read, Some((victim, attacker, means, weapon, hitloc)), "{line}");
    }

    #[test]
    fn the_games_phrases_are_understood() {
        let bert = Some("Bert");
        assert_read("Anna was rifled by Bert in the head", "Anna", bert, "bullet", "Rifle", "head");
        assert_read(
            "Anna was perforated by Bert's SMG in the upper left arm",
            "Anna",
            bert,
            "bullet",
            "SMG",
            "l_arm_upper",
        );
        assert_read(
            "Anna is picking Bert's shrapnel out of his teeth",
            "Anna",
            bert,
            "grenade",
            "Grenade",
            "",
        );
        assert_read("Anna took Bert's rocket in the face", "Anna", bert, "rocket", "Rocket launcher", "");
        assert_read("Anna was clubbed by Bert", "Anna", bert, "bash", "", "");
        assert_read("Anna took himself out of commision", "Anna", Some("Anna"), "suicide", "", "");
        assert_read("Anna shot himself in the left foot", "Anna", Some("Anna"), "bullet", "", "l_foot");
        assert_read("Anna cratered", "Anna", None, "falling", "", "");
        assert_read("Anna was shot in the neck", "Anna", None, "bullet", "", "neck");
    }

    #[test]
    fn names_may_hold_phrases_and_other_lines_are_none() {
        let name = "who was shot by me";
        assert_read(
            "who was shot by me was sniped by Bert",
            name,
            Some("Bert"),
            "bullet",
            "Sniper rifle",
            "",
        );
        assert_read("Anna was shot by who was shot by me", "Anna", Some(name), "bullet", "", "");
        for line in
            ["", "Anna has joined the Allies", "Server: dm/mohdm1", " was shot by Bert", "Anna: hello"]
        {
            assert_eq!(read(line, |_| true), None, "{line}");
        }
    }
}
