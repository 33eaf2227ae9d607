//! What people write in chat, with everything that has ever broken a parser: `&`, `=`, `+`, `%`, colour codes,
//! field names, and letters beyond ASCII.

use super::dice::Dice;

const LINES: [&str; 28] = [
    "gg & wp = 100% + fun",
    "gg",
    "nice shot",
    "^1medic^7!",
    "who has &hitloc=head & who has not",
    "1 + 1 = 3",
    "sniper in the tower, 50% health",
    "attacker_guid=world was here",
    "merde, encore touché",
    "schöne Grüße",
    "привет",
    "おはよう",
    "rush B&C now",
    "%41%42 is not AB",
    "lol :) :( <b>bold</b>",
    "\"quoted\" and \\escaped\\",
    "a=1&b=2&c=3",
    "no camping;please",
    "reloading, cover me",
    "!stats",
    "they are at the bridge",
    "&",
    "==",
    "++",
    "100%",
    "null nan NIL inf",
    "^^7 double caret",
    "thanks & bye",
];

pub fn draw_line(dice: &mut Dice) -> &'static str {
    dice.pick::<&str>(&LINES)
}
