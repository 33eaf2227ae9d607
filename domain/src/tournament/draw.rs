//! Making a bracket out of the field: seeds, groups, and all matches that are known from the start.

use std::collections::BTreeMap;

use super::bout::{Bout, Source};
use super::command::Refusal;
use super::elimination::{self, Double, Shape};
use super::entrant::{Entrant, EntrantId};
use super::key::{Key, Section};
use super::round_robin;
use super::seeding;
use super::settings::{FirstStage, Format, Knockout, SeedBy};
use super::standings;
use super::state::{Draw, Tournament};
use super::swiss::{self, Contender};

impl Tournament {
    /// Seeds the field and makes the matches.
    pub(super) fn make_bracket(&mut self, random: u64) -> Result<(), Refusal> {
        let need = self.settings.min_participants.max(2);
        let have = u32::try_from(self.field().count()).unwrap_or(u32::MAX);
        if have < need {
            return Err(Refusal::TooFewEntrants { have, need });
        }
        let seeds = self.seeds(random);
        for (place, id) in seeds.iter().enumerate() {
            if let Some(entrant) = self.entrants.get_mut(id) {
                entrant.seed = u32::try_from(place + 1).ok();
            }
        }
        let entrants = seeds.len();
        self.draw = Draw { random, seeds, ..Draw::default() };
        match self.settings.format {
            Format::SingleElimination => self.add(self.knockout_shape(Knockout::SingleElimination, entrants)),
            Format::DoubleElimination => self.add(self.knockout_shape(Knockout::DoubleElimination, entrants)),
            Format::RoundRobin => self.make_groups(self.settings.options.groups.unwrap_or(1))?,
            Format::Swiss => self.begin_swiss()?,
            Format::GroupStage => self.make_stages(entrants)?,
        }
        Ok(())
    }

    /// The order by hand first, then as the settings say.
    fn seeds(&self, random: u64) -> Vec<EntrantId> {
        let mut field: Vec<&Entrant> = self.field().collect();
        match self.settings.options.seed_by {
            SeedBy::Registration => {}
            SeedBy::Rating => field.sort_by(|one, two| {
                let rating = |entrant: &Entrant| entrant.rating.unwrap_or(f64::MIN);
                rating(two).total_cmp(&rating(one))
            }),
            SeedBy::Random => field.sort_by_key(|entrant| (standings::lot(random, entrant.id), entrant.id)),
        }
        field.sort_by_key(|entrant| entrant.seed.unwrap_or(u32::MAX));
        field.into_iter().map(|entrant| entrant.id).collect()
    }

    fn knockout_shape(&self, knockout: Knockout, entrants: usize) -> Vec<Shape> {
        let options = &self.settings.options;
        match knockout {
            Knockout::SingleElimination => {
                elimination::single(entrants, self.settings.seeding, options.third_place)
            }
            Knockout::DoubleElimination => {
                let double = Double {
                    grand_final: options.grand_final.unwrap_or_default(),
                    consolation: options.consolation,
                    lower_start: options.lower_start,
                };
                elimination::double(entrants, self.settings.seeding, &double)
            }
        }
    }

    fn make_groups(&mut self, groups: u32) -> Result<(), Refusal> {
        let entrants = self.draw.seeds.len();
        let groups = groups as usize;
        if groups == 0 || entrants / groups < 2 {
            let need = u32::try_from(groups.max(1) * 2).unwrap_or(u32::MAX);
            return Err(Refusal::TooFewEntrants { have: u32::try_from(entrants).unwrap_or(u32::MAX), need });
        }
        let dealt = seeding::groups(self.settings.options.group_seeding, entrants, groups);
        self.draw.groups =
            dealt.iter().map(|group| group.iter().map(|seed| self.draw.seeds[seed - 1]).collect()).collect();
        let twice = self.settings.options.double_round_robin;
        let shape = self.draw.groups.iter().enumerate();
        let shape = shape.flat_map(|(place, group)| round_robin::group(place + 1, group, twice)).collect();
        self.add(shape);
        Ok(())
    }

    /// Groups or Swiss, and the knockout that waits for what comes out of them.
    fn make_stages(&mut self, entrants: usize) -> Result<(), Refusal> {
        let options = &self.settings.options;
        let (advance, knockout) = (options.advance.map(|advance| advance as usize), options.knockout);
        let qualified = match options.first_stage {
            FirstStage::Groups => {
                let groups =
                    options.groups.unwrap_or_else(|| u32::try_from(entrants.div_ceil(4)).unwrap_or(1));
                self.make_groups(groups)?;
                let smallest = self.draw.groups.iter().map(Vec::len).min().unwrap_or(0);
                let advance = advance.unwrap_or(smallest.min(2));
                if advance > smallest || advance * self.draw.groups.len() < 2 {
                    return Err(Refusal::TooFewAdvance { advance, smallest });
                }
                self.qualified_of_groups(advance)
            }
            FirstStage::Swiss => {
                let limits = options.swiss_wins.zip(options.swiss_losses);
                let advance = advance.unwrap_or_else(|| match limits {
                    Some((wins, losses)) => swiss::through(entrants, wins, losses),
                    None => (entrants / 2).clamp(2, 8),
                });
                if advance < 2 || advance > entrants {
                    return Err(Refusal::TooFewAdvance { advance, smallest: entrants });
                }
                self.begin_swiss()?;
                (1..=advance).map(|place| (0, small(place))).collect()
            }
        };
        let placed = |source| match source {
            Source::Seed(seed) => {
                let (group, place) = qualified[usize::from(seed) - 1];
                Source::Placed(group, place)
            }
            other => other,
        };
        let shape = self.knockout_shape(knockout, qualified.len());
        self.add(shape.into_iter().map(|(key, sources)| (key, sources.map(placed))).collect());
        Ok(())
    }

    /// Seeds of a knockout: the firsts of the groups, then the seconds, and so on. In which order those of one place
    /// come is turned until as few as possible meet somebody of their own group in the first round, or else in the
    /// same half.
    fn qualified_of_groups(&self, advance: usize) -> Vec<(u16, u16)> {
        let groups = self.draw.groups.len();
        let total = groups * advance;
        let positions = self.settings.seeding.apply(&(0..elimination::size(total)).collect::<Vec<usize>>());
        let mut slot_of = vec![0; positions.len()];
        for (slot, seed) in positions.iter().enumerate() {
            slot_of[*seed] = slot;
        }
        let half = positions.len() / 2;
        let mut chosen: Vec<usize> = (0..groups).collect();
        let mut slots_of: Vec<Vec<usize>> = chosen.iter().map(|seed| vec![slot_of[*seed]]).collect();
        for place in 1..advance {
            let turned = |turn: usize, backwards: bool| -> Vec<usize> {
                let turn = |at: usize| (at + turn) % groups;
                (0..groups).map(|at| if backwards { groups - 1 - turn(at) } else { turn(at) }).collect()
            };
            let meetings = |order: &[usize]| {
                let mut met = (0, 0);
                for (at, group) in order.iter().enumerate() {
                    let slot = slot_of[place * groups + at];
                    for other in &slots_of[*group] {
                        met.0 += usize::from(other / 2 == slot / 2);
                        met.1 += usize::from(other / half == slot / half);
                    }
                }
                met
            };
            let orders = (0..groups).flat_map(|turn| [turned(turn, true), turned(turn, false)]);
            let order = orders.min_by_key(|order| meetings(order)).unwrap_or_default();
            for (at, group) in order.iter().enumerate() {
                slots_of[*group].push(slot_of[place * groups + at]);
            }
            chosen.extend(order);
        }
        chosen.iter().enumerate().map(|(seed, group)| (small(group + 1), small(seed / groups + 1))).collect()
    }

    fn begin_swiss(&mut self) -> Result<(), Refusal> {
        let options = &self.settings.options;
        let needed = elimination::size(self.draw.seeds.len()).trailing_zeros();
        let decided = options.swiss_wins.zip(options.swiss_losses).map(|(wins, losses)| wins + losses - 1);
        self.draw.swiss_rounds = small(options.swiss_rounds.or(decided).unwrap_or(needed) as usize);
        self.pair_swiss(options.allow_rematches)
    }

    /// Pairs the next round of Swiss.
    pub(super) fn pair_swiss(&mut self, allow_rematches: bool) -> Result<(), Refusal> {
        let round = usize::from(self.swiss_round()) + 1;
        let contenders: Vec<Contender> = self
            .still_in_swiss()
            .into_iter()
            .map(|row| Contender {
                id: row.entrant,
                points: row.points,
                met: row.played.iter().filter_map(|played| played.opponent).collect(),
                had_bye: row.played.iter().any(|played| played.opponent.is_none()),
            })
            .collect();
        // By points alone and then by seed: tie-breaks would let late rounds undo what seeds are for.
        let place: BTreeMap<EntrantId, usize> =
            self.draw.seeds.iter().enumerate().map(|(place, id)| (*id, place)).collect();
        let mut contenders = contenders;
        contenders.sort_by_key(|contender| (std::cmp::Reverse(contender.points), place[&contender.id]));
        let paired = swiss::pair(&contenders, allow_rematches).map_err(|_| Refusal::NoLegalRound)?;
        let pairs = paired.pairs.iter().map(|(one, two)| [Source::Entrant(*one), Source::Entrant(*two)]);
        let bye = paired.bye.map(|id| [Source::Entrant(id), Source::Bye]);
        let shape = pairs
            .chain(bye)
            .enumerate()
            .map(|(at, sides)| (Key::new(Section::Swiss, round, at + 1), sides))
            .collect();
        self.add(shape);
        Ok(())
    }

    fn add(&mut self, shape: Vec<Shape>) {
        let last =
            shape.iter().filter(|(key, _)| key.section == Section::Single).map(|(key, _)| key.round).max();
        for (key, sources) in shape {
            let best_of = self.best_of(key, Some(key.round) == last && key.section == Section::Single);
            self.bouts.insert(key, Bout::new(key, sources, best_of));
        }
    }

    fn best_of(&self, key: Key, is_final: bool) -> u8 {
        let round = match key.section {
            Section::Group => "G".to_owned(),
            Section::Swiss => format!("S{}", key.round),
            Section::Single => format!("R{}", key.round),
            Section::Upper => format!("W{}", key.round),
            Section::Lower => format!("L{}", key.round),
            Section::GrandFinal => "GF".to_owned(),
            Section::Consolation => "C".to_owned(),
        };
        let rounds = &self.settings.options.best_of_rounds;
        let of_final = rounds.get("final").filter(|_| is_final || key.section == Section::GrandFinal);
        rounds.get(&round).or(of_final).copied().unwrap_or(self.settings.best_of)
    }
}

fn small(number: usize) -> u16 {
    u16::try_from(number).unwrap_or(u16::MAX)
}
