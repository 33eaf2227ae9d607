//! Who acted and to whom it was done: the blocks of an event as they came, then as the event's type means them.

use super::extra::Extra;
use super::field::{Part, Role};
use super::json::Value;
use crate::event::Player;
use crate::vocabulary::{EventType, Team};

/// The blocks of one event by the prefix they came with. They live as long as the body: to make and drop six of them
/// for each event cost a twentieth of all decoding.
#[derive(Default)]
pub(super) struct Blocks {
    player: Player,
    attacker: Player,
    killer: Player,
    victim: Player,
    target: Player,
    bot: Player,
    player_sent: bool,
    /// Whether any block but `player` was sent.
    others_sent: bool,
}

impl Blocks {
    /// Forgets the blocks of an event that was not finished.
    pub(super) fn clear(&mut self) {
        if self.player_sent || self.others_sent {
            *self = Blocks::default();
        }
    }

    pub(super) fn get_mut(&mut self, role: Role) -> &mut Player {
        match role {
            Role::Player => self.player_sent = true,
            _ => self.others_sent = true,
        }
        match role {
            Role::Player => &mut self.player,
            Role::Attacker => &mut self.attacker,
            Role::Killer => &mut self.killer,
            Role::Victim => &mut self.victim,
            Role::Target => &mut self.target,
            Role::Bot => &mut self.bot,
        }
    }

    pub(super) fn part_mut(&mut self, role: Role, part: Part) -> Option<&mut Option<f32>> {
        let player = self.get_mut(role);
        match part {
            Part::X => Some(&mut player.x),
            Part::Y => Some(&mut player.y),
            Part::Z => Some(&mut player.z),
            Part::Pitch => Some(&mut player.pitch),
            Part::Yaw => Some(&mut player.yaw),
            Part::Name | Part::Guid | Part::MemberId | Part::Team | Part::Stance => None,
        }
    }

    /// `Event::player` and `Event::target`, after which no block is left. Blocks that are neither go to `extra` under
    /// their names.
    ///
    /// An event that one player does to another is the attacker's or killer's; a `player` beside them is the one it
    /// was done to, unless a victim is named (a headshot's `player` is its scorer). Every other event is the
    /// `player`'s; if only a victim is named (a death, a suicide), the victim's.
    pub(super) fn take(
        &mut self,
        event_type: EventType,
        is_pain: bool,
        extra: &mut Extra,
    ) -> (Player, Player) {
        let mut player = std::mem::take(&mut self.player);
        self.player_sent = false;
        if !self.others_sent {
            return match is_pain {
                // `player_pain` names the one who is hurt.
                true => (Player::default(), player),
                false => (player, Player::default()),
            };
        }
        let Blocks { attacker, killer, victim, target, bot, .. } = std::mem::take(self);
        let mut victim = first_of(victim, "victim", target, "target", extra);
        let mut actor = first_of(attacker, "attacker", killer, "killer", extra);
        if !is_blank(&bot) {
            match event_type {
                EventType::BotKilled if is_blank(&victim) => victim = bot,
                _ if !is_identified(&player) => fill(&mut player, bot),
                _ => keep(&bot, "bot", extra),
            }
        }

        if done_to_another(event_type) {
            if is_blank(&actor) && !(is_pain && is_blank(&victim)) {
                return (player, victim);
            }
            if !is_identified(&player) {
                // Only a place or a team, of the first scripts' fields without prefix.
                if is_blank(&actor) { fill(&mut victim, player) } else { fill(&mut actor, player) }
            } else if is_blank(&victim) && event_type != EventType::Headshot {
                victim = player;
            } else {
                keep(&player, "player", extra);
            }
            return (actor, victim);
        }

        if is_identified(&player) {
            keep(&actor, "attacker", extra);
            return (player, victim);
        }
        // The fields without prefix are the subject's.
        let suffered = matches!(event_type, EventType::Death | EventType::PlayerSuicide);
        if is_blank(&actor) || (suffered && !is_blank(&victim)) {
            keep(&actor, "attacker", extra);
            fill(&mut player, victim);
            return (player, Player::default());
        }
        fill(&mut player, actor);
        (player, victim)
    }
}

fn done_to_another(event_type: EventType) -> bool {
    matches!(
        event_type,
        EventType::Kill
            | EventType::Damage
            | EventType::Headshot
            | EventType::WeaponHit
            | EventType::PlayerTeamkill
            | EventType::PlayerBash
            | EventType::PlayerRoadkill
            | EventType::PlayerCrushed
            | EventType::PlayerTelefragged
            | EventType::BotKilled
            | EventType::ActorKilled
    )
}

fn is_identified(player: &Player) -> bool {
    !player.name.is_empty() || !player.guid.is_empty() || !player.member_id.is_empty()
}

fn is_blank(player: &Player) -> bool {
    !is_identified(player) && *player == Player::default()
}

/// The first block, or the second where the first is blank; of two, the second goes to `extra`.
fn first_of(
    first: Player,
    first_prefix: &str,
    second: Player,
    second_prefix: &str,
    extra: &mut Extra,
) -> Player {
    if is_blank(&second) {
        return first;
    }
    if is_identified(&first) || !is_identified(&second) {
        keep(&second, second_prefix, extra);
        return first;
    }
    keep(&first, first_prefix, extra);
    second
}

/// Takes from `source` what `player` does not say.
fn fill(player: &mut Player, source: Player) {
    for (own, other) in [
        (&mut player.name, source.name),
        (&mut player.guid, source.guid),
        (&mut player.member_id, source.member_id),
        (&mut player.stance, source.stance),
    ] {
        if own.is_empty() {
            *own = other;
        }
    }
    if player.team == Team::Unknown {
        player.team = source.team;
    }
    player.x = player.x.or(source.x);
    player.y = player.y.or(source.y);
    player.z = player.z.or(source.z);
    player.pitch = player.pitch.or(source.pitch);
    player.yaw = player.yaw.or(source.yaw);
}

/// Keeps a block that the event has no place for, under the names it came with.
fn keep(player: &Player, prefix: &str, extra: &mut Extra) {
    let texts = [
        ("name", player.name.as_str()),
        ("guid", player.guid.as_str()),
        ("smf_id", player.member_id.as_str()),
        ("team", player.team.as_str()),
        ("stance", player.stance.as_str()),
    ];
    for (part, text) in texts {
        if !text.is_empty() {
            extra.push_if_absent(&format!("{prefix}_{part}"), &Value::Text(text.into()));
        }
    }
    let numbers =
        [("x", player.x), ("y", player.y), ("z", player.z), ("pitch", player.pitch), ("yaw", player.yaw)];
    for (part, number) in numbers {
        if let Some(number) = number {
            extra.push_if_absent(&format!("{prefix}_{part}"), &Value::Number(&number.to_string()));
        }
    }
}
