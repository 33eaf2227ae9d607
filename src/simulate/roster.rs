//! The people who play: one pool for the whole fleet, the same for every run of a seed.
//!
//! Each server has regulars, and a group of rovers that goes on to the next server after each match, so that a
//! player meets several servers but is never on two at once.

use std::sync::Arc;

use super::dice::Dice;

const REGULARS: usize = 10;
const ROVERS: usize = 6;

/// The smallest member id; the others follow.
pub const FIRST_MEMBER_ID: u32 = 1000;

/// Somebody, as one server knows him.
#[derive(Debug)]
pub struct Persona {
    /// Number in the pool.
    pub number: usize,
    /// Forum id; a guest has none.
    pub member_id: Option<u32>,
    /// Name as the game sends it: raw bytes, mostly UTF-8, of a few players Windows-1252.
    pub name: Vec<u8>,
    /// The same name as it should be read.
    pub readable_name: String,
    /// 0 (a beginner) to 1.
    pub skill: f64,
}

#[derive(Debug)]
struct Applicant {
    as_member: Arc<Persona>,
    as_guest: Arc<Persona>,
    /// He is a guest on servers whose share of guests, in percent, is above this.
    guest_threshold: usize,
}

#[derive(Debug)]
pub struct Roster {
    applicants: Vec<Applicant>,
    servers: usize,
    roving: bool,
}

impl Roster {
    /// `roving` is off where servers play at real time and must not wait for each other.
    pub fn new(seed: u64, servers: usize, roving: bool) -> Self {
        let mut dice = Dice::new(seed, "roster", &[]);
        let applicants =
            (0..servers * (REGULARS + ROVERS)).map(|number| applicant(number, &mut dice)).collect();
        Self { applicants, servers, roving }
    }

    /// Who may come to this match of this server.
    pub fn participants(&self, server: usize, match_number: usize, guest_percent: u8) -> Vec<Arc<Persona>> {
        let group = if self.roving { rover_group(server, match_number, self.servers) } else { server };
        let regulars = server * REGULARS..(server + 1) * REGULARS;
        let first_rover = self.servers * REGULARS + group * ROVERS;
        regulars
            .chain(first_rover..first_rover + ROVERS)
            .map(|number| &self.applicants[number])
            .map(|applicant| {
                let is_guest = applicant.guest_threshold < usize::from(guest_percent);
                Arc::clone(if is_guest { &applicant.as_guest } else { &applicant.as_member })
            })
            .collect()
    }

    /// The server whose match before `match_number` must be over before this server may begin it, because its
    /// rovers come from there.
    pub fn rovers_come_from(&self, server: usize, match_number: usize) -> Option<usize> {
        let comes_from_elsewhere = self.roving && self.servers > 1 && match_number > 0;
        comes_from_elsewhere.then_some((server + self.servers - 1) % self.servers)
    }
}

fn rover_group(server: usize, match_number: usize, servers: usize) -> usize {
    (server + servers - match_number % servers) % servers
}

fn applicant(number: usize, dice: &mut Dice) -> Applicant {
    // Two rolls averaged: most people are middling.
    let skill = (dice.fraction() + dice.fraction()) / 2.0;
    let (name, readable_name) = name_of(number);
    let guest_name = format!("Recruit {number}");
    Applicant {
        as_member: Arc::new(Persona {
            number,
            member_id: Some(FIRST_MEMBER_ID + number as u32),
            name,
            readable_name,
            skill,
        }),
        // Guests are told apart by name, and a name that isn't ASCII may be read in two ways.
        as_guest: Arc::new(Persona {
            number,
            member_id: None,
            name: guest_name.clone().into_bytes(),
            readable_name: guest_name,
            skill,
        }),
        guest_threshold: dice.below(100),
    }
}

/// Names as the field has them: colours, clan tags, everything that unescaped form text trips over.
const NAMES: [&str; 44] = [
    "Sgt. O'Neil",
    "Hiroshi",
    "Yuta",
    "Elgan",
    "^1Hiro^7shi",
    "Tom & Jerry",
    "100% Pure",
    "a=b",
    "C++",
    "[=KIA=]Wolf",
    "Müller",
    "^4|RAF|^7Spit",
    "Zoë",
    "semi;colon",
    "Жуков",
    "Powell",
    "M1+M1=2M1",
    "R&R",
    "Baker",
    "^2Green^0Beret",
    "{TLO}Max",
    "Łukasz",
    "grandpa",
    "Ace of Spades",
    "x_SNIPER_x",
    "Doc",
    "~*Ghost*~",
    "Pvt. Ryan",
    "Schmidt",
    "Back\\slash",
    "日本兵",
    "#1 fan?",
    "Elder",
    "^6pink^3panther",
    "Manon",
    "TANK!",
    "Cpl <Upham>",
    "Grillo",
    "O'Hara & Sons",
    "Kowalski",
    "-=[101st]=-",
    "Horvath",
    "Mellish",
    "Wade",
];

/// Names in Windows-1252, in the game's own bytes and as they should be read. None of them is valid UTF-8.
const NAMES_1252: [(&[u8], &str); 4] =
    [(b"Gar\xe7on", "Garçon"), (b"Jos\xe9", "José"), (b"Bj\xf6rn", "Björn"), (b"\x80uro\x99", "€uro™")];

fn name_of(number: usize) -> (Vec<u8>, String) {
    let kinds = NAMES.len() + NAMES_1252.len();
    let generation = number / kinds;
    let suffix = if generation == 0 { String::new() } else { format!(" {}", generation + 1) };
    // 7 and the number of kinds have no common divisor, so every name comes once before one comes again.
    let kind = (number * 7) % kinds;
    match NAMES.get(kind) {
        Some(name) => (format!("{name}{suffix}").into_bytes(), format!("{name}{suffix}")),
        None => {
            let (bytes, readable) = NAMES_1252[kind - NAMES.len()];
            ([bytes, suffix.as_bytes()].concat(), format!("{readable}{suffix}"))
        }
    }
}
