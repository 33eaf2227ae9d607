//! Weapons: one alias table that gives each weapon one slug, one display name and one class.
//!
//! Names are those of the game's item tables (Allied Assault, Spearhead, Breakthrough), of their model files and
//! those in common use. Spelling does not matter: only ASCII letters and digits are compared, without case, so
//! `M1 Garand`, `m1_garand` and `M1-GARAND` are one. A model's path (`models/weapons/m1_garand.tik`) is read by
//! its file name. A name that the table does not have is a weapon of its own, with a slug made from it: a
//! server's modified weapon gets its statistics without a change here.
//!
//! What stands in a weapon's place for a death without one (`none`, `world`, `falling`, …) is no weapon. An
//! `Explosion` is one: it is what the engine calls the blast of a thrown grenade.

use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasherDefault, Hasher};
use std::str::FromStr;
use std::sync::LazyLock;

use crate::event::Text;

/// What kind of weapon it is, as the game's menus group them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WeaponClass {
    Rifle,
    Smg,
    Mg,
    Sniper,
    Pistol,
    Shotgun,
    Rocket,
    Grenade,
    Melee,
    Mounted,
    Other,
}

impl WeaponClass {
    /// The word that stands for this class in answers.
    pub const fn as_str(self) -> &'static str {
        match self {
            WeaponClass::Rifle => "rifle",
            WeaponClass::Smg => "smg",
            WeaponClass::Mg => "mg",
            WeaponClass::Sniper => "sniper",
            WeaponClass::Pistol => "pistol",
            WeaponClass::Shotgun => "shotgun",
            WeaponClass::Rocket => "rocket",
            WeaponClass::Grenade => "grenade",
            WeaponClass::Melee => "melee",
            WeaponClass::Mounted => "mounted",
            WeaponClass::Other => "other",
        }
    }
}

/// A weapon of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Weapon {
    pub slug: &'static str,
    /// Display name.
    pub name: &'static str,
    pub class: WeaponClass,
}

/// The weapon that a name means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WeaponRef<'a> {
    Known(&'static Weapon),
    /// A weapon that the table does not have, under its own name.
    Unlisted {
        slug: Text,
        name: &'a str,
    },
}

impl WeaponRef<'_> {
    pub fn slug(&self) -> &str {
        match self {
            WeaponRef::Known(weapon) => weapon.slug,
            WeaponRef::Unlisted { slug, .. } => slug,
        }
    }

    pub fn into_slug(self) -> Text {
        match self {
            WeaponRef::Known(weapon) => Text::const_new(weapon.slug),
            WeaponRef::Unlisted { slug, .. } => slug,
        }
    }

    /// Display name.
    pub fn name(&self) -> &str {
        match self {
            WeaponRef::Known(weapon) => weapon.name,
            WeaponRef::Unlisted { name, .. } => name,
        }
    }

    pub fn class(&self) -> WeaponClass {
        match self {
            WeaponRef::Known(weapon) => weapon.class,
            WeaponRef::Unlisted { .. } => WeaponClass::Other,
        }
    }
}

/// The weapon that `name` means; `None` when it names no weapon.
pub fn find(name: &str) -> Option<WeaponRef<'_>> {
    let named = file_stem(name.trim());
    let key_hash = hash_of_key(named);
    if let Some(entries) = ALIASES.get(&key_hash)
        && let Some((_, meaning)) = entries.iter().find(|(alias, _)| key(alias).eq(key(named)))
    {
        return meaning.map(WeaponRef::Known);
    }
    (!named.is_empty()).then(|| WeaponRef::Unlisted { slug: slug_of(named), name: named })
}

/// The weapon of the table that has this slug.
pub fn by_slug(slug: &str) -> Option<&'static Weapon> {
    static BY_SLUG: LazyLock<HashMap<&str, &Weapon>> =
        LazyLock::new(|| all().map(|weapon| (weapon.slug, weapon)).collect());
    BY_SLUG.get(slug).copied()
}

/// Every weapon of the table, in the order in which lists show them.
pub fn all() -> impl Iterator<Item = &'static Weapon> {
    TABLE.iter().map(|(weapon, _)| weapon)
}

/// A text that names no weapon's slug.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("a weapon's slug is 1 to {MAX_SLUG_BYTES} of a-z, 0-9 and inner hyphens")]
pub struct InvalidWeaponSlug;

/// A slug as paths and filters hold it, of a listed weapon or not. Parsing accepts any spelling of a listed
/// weapon (`/weapons/M1%20Garand`) and else only what [`find`] could have made.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct WeaponSlug(Text);

impl WeaponSlug {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for WeaponSlug {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl FromStr for WeaponSlug {
    type Err = InvalidWeaponSlug;

    fn from_str(text: &str) -> Result<Self, InvalidWeaponSlug> {
        match find(text) {
            Some(WeaponRef::Known(weapon)) => Ok(WeaponSlug(Text::const_new(weapon.slug))),
            Some(WeaponRef::Unlisted { slug, .. }) if slug == text => Ok(WeaponSlug(slug)),
            _ => Err(InvalidWeaponSlug),
        }
    }
}

const MAX_SLUG_BYTES: usize = 48;

/// `models/weapons/m1_garand.tik` is known by `m1_garand`.
fn file_stem(name: &str) -> &str {
    let Some(path) = name.strip_suffix(".tik") else { return name };
    path.rsplit(['/', '\\']).next().unwrap_or(path)
}

/// The bytes by which names are compared.
fn key(name: &str) -> impl Iterator<Item = u8> + '_ {
    name.bytes().filter(u8::is_ascii_alphanumeric).map(|byte| byte.to_ascii_lowercase())
}

/// FNV-1a (64 bits) of [`key`]: names are short, and this needs no buffer for the normal form.
fn hash_of_key(name: &str) -> u64 {
    key(name)
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// Runs of anything but letters and digits become one hyphen. A name without any letter or digit gets its hash,
/// so that it still has an address.
fn slug_of(name: &str) -> Text {
    let mut slug = Text::default();
    for character in name.chars() {
        if slug.len() >= MAX_SLUG_BYTES {
            break;
        }
        if character.is_ascii_alphanumeric() {
            slug.push(character.to_ascii_lowercase());
        } else if !slug.is_empty() && !slug.ends_with('-') {
            slug.push('-');
        }
    }
    slug.truncate(slug.trim_end_matches('-').len());
    if slug.is_empty() {
        let hash = name
            .bytes()
            .fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
        return compact_str::format_compact!("weapon-{hash:08x}");
    }
    slug
}

/// By the hash of their key, which needs no further hashing.
type AliasTable = HashMap<u64, Vec<(&'static str, Option<&'static Weapon>)>, BuildHasherDefault<HashOfKey>>;

/// Takes a number that is a hash already.
#[derive(Default)]
struct HashOfKey(u64);

impl Hasher for HashOfKey {
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.0 = self.0.rotate_left(8) ^ u64::from(*byte));
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

static ALIASES: LazyLock<AliasTable> = LazyLock::new(|| {
    let mut aliases = AliasTable::default();
    let mut add = |alias: &'static str, meaning| {
        aliases.entry(hash_of_key(alias)).or_default().push((alias, meaning));
    };
    for (weapon, spellings) in TABLE {
        add(weapon.slug, Some(weapon));
        add(weapon.name, Some(weapon));
        for spelling in *spellings {
            add(spelling, Some(weapon));
        }
    }
    for word in NO_WEAPON {
        add(word, None);
    }
    aliases
});

/// Words that stand where a weapon would, for a death or an empty hand without one.
const NO_WEAPON: &[&str] = &[
    "none",
    "null",
    "nil",
    "world",
    "worldspawn",
    "unarmed",
    "unknown",
    "falling",
    "fall",
    "suicide",
    "crush",
    "crush_every_frame",
    "telefrag",
    "lava",
    "slime",
    "water",
    "drown",
    "last_self_inflicted",
    "electric",
    "electricwater",
    "trigger_hurt",
    "papers",
];

macro_rules! weapons {
    ($($slug:literal $name:literal $class:ident [$($alias:literal),* $(,)?])*) => {
        const TABLE: &[(Weapon, &[&str])] = &[
            $((Weapon { slug: $slug, name: $name, class: WeaponClass::$class }, &[$($alias),*])),*
        ];
    };
}

weapons! {
    "m1-garand" "M1 Garand" Rifle ["garand", "m1garand rifle", "rifle garand"]
    "kar98k" "Kar98k" Rifle ["Mauser KAR 98K", "kar98", "mauser", "karabiner 98k", "mauser kar98", "k98", "k98k"]
    "lee-enfield" "Lee-Enfield" Rifle ["enfield", "enfield rifle", "lee enfield rifle"]
    "mosin-nagant" "Mosin Nagant" Rifle ["Mosin Nagant Rifle", "mosin"]
    "svt-40" "SVT-40" Rifle ["svt", "svt_rifle", "svt40 rifle", "tokarev svt 40"]
    "g43" "Gewehr 43" Rifle ["G 43", "g43 rifle", "gewehr43 rifle"]
    "carcano" "Carcano" Rifle ["Carcano Rifle", "it_w_carcano"]
    "de-lisle" "De Lisle" Rifle ["DeLisle carbine", "uk_w_delisle", "de lisle carbine"]
    "m1-carbine" "M1 Carbine" Rifle ["carbine"]

    "thompson" "Thompson" Smg ["thompsonsmg", "thompson m1a1", "m1a1 thompson", "tommy gun", "thompson m1928"]
    "mp40" "MP40" Smg ["mp 40 smg", "schmeisser"]
    "sten" "Sten" Smg ["Sten Mark II", "sten mk ii", "sten mkii", "sten mk2", "sten gun"]
    "ppsh-41" "PPSh-41" Smg ["PPSH SMG", "ppsh", "ppsh_smg", "ppsh41 smg"]
    "moschetto" "Moschetto" Smg ["it_w_moschetto", "moschetto smg", "beretta m38", "beretta mab 38"]

    "bar" "BAR" Mg ["browning bar", "m1918 bar", "bar m1918", "browning automatic rifle"]
    "stg-44" "StG 44" Mg ["mp44", "sturmgewehr 44", "sturmgewehr", "mp 44 stg 44"]
    "fg-42" "FG 42" Mg ["fallschirmjaegergewehr 42", "fallschirmjagergewehr 42"]
    "vickers-berthier" "Vickers-Berthier" Mg ["vickers", "uk_w_vickers", "vickers berthier mg"]
    "breda" "Breda" Mg ["it_w_breda", "breda mg", "breda 30"]

    "springfield-sniper" "Springfield '03 Sniper" Sniper [
        "springfield", "springfield 03", "springfield sniper", "m1903", "m1903 springfield", "m1903 sniper",
        "m1903a4", "springfield m1903", "springfield 1903", "springfield rifle",
    ]
    "kar98-sniper" "Kar98 Sniper" Sniper ["KAR98 - Sniper", "kar98sniper", "kar98k sniper", "mauser kar98k sniper"]
    "enfield-l42a1" "Enfield L42A1" Sniper ["uk_w_l42a1", "l42a1", "enfield sniper", "lee enfield sniper"]
    "mosin-nagant-sniper" "Mosin Nagant Sniper" Sniper ["mosin sniper", "mosin nagant rifle sniper"]

    "colt-45" "Colt 45" Pistol ["colt", "colt .45", "colt45 pistol", "m1911", "colt m1911", "m1911a1", "colt 1911"]
    "walther-p38" "Walther P38" Pistol ["p38", "walther", "walther p 38 pistol"]
    "hi-standard-silenced" "Hi-Standard Silenced" Pistol [
        "histandard", "hi standard", "silencedpistol", "silenced pistol", "hi standard silenced pistol",
        "high standard silenced",
    ]
    "webley" "Webley Revolver" Pistol ["webley", "webley_revolver", "webley mk vi"]
    "nagant-revolver" "Nagant Revolver" Pistol ["nagantrev", "nagant", "nagant m1895"]
    "beretta" "Beretta" Pistol ["it_w_beretta", "beretta pistol", "beretta m1934"]

    "shotgun" "Shotgun" Shotgun ["winchester", "winchester shotgun", "m1897", "winchester m1897", "trench gun"]

    "bazooka" "Bazooka" Rocket ["m1 bazooka", "m9 bazooka", "bazooka rocket", "bazookashell"]
    "panzerschreck" "Panzerschreck" Rocket ["panzershreck", "panzershrek", "panzerschreck rocket", "panzerschreckshell"]
    "panzerfaust" "Panzerfaust" Rocket []
    "piat" "PIAT" Rocket ["uk_w_piat", "piat shell"]

    "frag-grenade" "Frag Grenade" Grenade [
        "m2frag_grenade", "m2 frag grenade", "fraggrenade", "frag", "us frag grenade", "m2fgrenade",
        "m2frag_grenade_sp", "m2frag_grenade_sp_start", "m2frag_grenade_start", "grenade", "american grenade",
    ]
    "stielhandgranate" "Stielhandgranate" Grenade [
        "steilhandgranate", "stielhandgranate 24", "stick grenade", "stielhand grenade", "stielhand",
        "steilhandgranate_start", "german grenade",
    ]
    "f1-grenade" "F1 Grenade" Grenade ["russian f1 grenade", "russian_f1_grenade", "f1"]
    "mills-grenade" "Mills Grenade" Grenade ["mills bomb", "mills", "mills_grenade_start"]
    "bomba-a-mano" "Bomba A Mano" Grenade ["bomba", "it_w_bomba", "it_w_bomba_sp_start"]
    "bomba-a-mano-breda" "Bomba A Mano Breda" Grenade ["bombabreda", "bomba breda", "it_w_bombabreda"]
    "m18-smoke-grenade" "M18 Smoke Grenade" Grenade ["m18", "m18 smoke", "smoke grenade", "us smoke grenade"]
    "nebelhandgranate" "Nebelhandgranate" Grenade ["nebelhandgranate 39", "german smoke grenade", "nebelhandgranate_start"]
    "rdg-1-smoke-grenade" "RDG-1 Smoke Grenade" Grenade ["rdg1", "rdg-1", "russian smoke grenade"]
    "gewehrgranate" "Gewehrgranate" Grenade [
        "kar98mortar", "kar98_mortar", "kar98 rifle grenade", "mauser kar 98d", "kar98k grenade launcher",
        "rifle grenade", "gewehrgranat",
    ]
    "explosion" "Explosion" Other ["explosive", "explodewall", "blast"]
    "landmine" "Landmine" Other [
        "mine", "land mine", "landmineallies", "landmineaxis", "landmine allies", "landmine axis", "m2 ap mine", "minefield",
    ]
    "mine-detector" "Mine Detector" Other ["minedetector", "minedetectoraxis", "minensuchgerat", "minensuchgeraet"]
    "satchel-charge" "Satchel Charge" Other ["satchel", "explosive charge", "detonator", "dynamite", "bomb"]
    "binoculars" "Binoculars" Other ["binocs"]
    "fire" "Fire" Other ["on_fire", "flame", "flamethrower"]
    "vehicle" "Vehicle" Other ["jeep", "truck", "halftrack"]
    "artillery" "Artillery" Other ["mortar", "air strike", "airstrike", "nebelwerfer"]

    "bash" "Bash" Melee ["melee", "rifle butt", "pistol whip", "butt", "gun butt"]
    "knife" "Knife" Melee ["combat knife", "bayonet"]

    "mg42" "MG 42" Mounted [
        "mg42 turret", "mounted mg42", "mg42_gun", "mg42 gun", "mg42portable", "Packed MG42 Turret", "portable mg42",
        "p_mg42", "packed mg42", "turretweapon mg42", "mg42_bipod", "mg34",
    ]
    "30cal" ".30 Cal" Mounted [
        "30cal gun", "30cal turret", "browning 30cal", "mounted 30cal", "m1919", "browning m1919", "jeep 30cal",
        "30 calibre", "30 caliber",
    ]
    "50cal" ".50 Cal" Mounted ["50cal gun", "browning 50cal", "mounted 50cal", "m2 browning"]
    "aa-gun" "AA Gun" Mounted ["aagun", "flak gun", "flak", "flakvierling", "antiaircraft gun"]
    "flak-88" "Flak 88" Mounted ["flak88", "88mm", "flak 88 cannon"]
    "tank-cannon" "Tank Cannon" Mounted [
        "tank", "tank gun", "tankcannon", "tank turret", "tiger tank", "king tiger", "panzer tank", "sherman",
        "panzer iv", "sherman tank", "t34", "tiger cannon", "tank shell", "tankshell",
    ]
}
