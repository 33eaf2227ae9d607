//! Maps of the game and where people walk on them.
//!
//! Bounds and paths are made up, but fixed: they depend on the map's name alone, never on the seed, so that
//! heatmaps of many runs show the same streets.

use super::dice::Dice;
use super::event::{GameType, Side};

#[derive(Debug)]
pub struct BattleMap {
    pub name: &'static str,
    /// Map units.
    pub min: [f64; 2],
    pub max: [f64; 2],
    /// Height of the ground and of the highest floor.
    pub floor: f64,
    pub ceiling: f64,
    /// Part of the map's width, from the west, that is under water.
    pub water: f64,
    pub game_types: &'static [GameType],
}

const DEATHMATCH: &[GameType] = &[GameType::TeamDeathmatch, GameType::FreeForAll, GameType::Rounds];
const OBJECTIVE: &[GameType] = &[GameType::Objective];

const fn map(name: &'static str, min: [f64; 2], max: [f64; 2], floor: f64, ceiling: f64) -> BattleMap {
    BattleMap { name, min, max, floor, ceiling, water: 0.0, game_types: DEATHMATCH }
}

pub static MAPS: [BattleMap; 11] = [
    map("dm/mohdm1", [-1900.0, -2300.0], [2400.0, 1700.0], 0.125, 256.0),
    map("dm/mohdm2", [-2200.0, -2600.0], [2600.0, 2100.0], -64.0, 320.0),
    map("dm/mohdm3", [-3100.0, -1800.0], [2900.0, 2200.0], 0.125, 448.0),
    map("dm/mohdm4", [-1700.0, -2000.0], [2200.0, 2400.0], 16.0, 288.0),
    map("dm/mohdm5", [-4200.0, -3600.0], [3900.0, 3300.0], -128.0, 384.0),
    map("dm/mohdm6", [-1500.0, -1900.0], [2100.0, 1600.0], 0.125, 512.0),
    map("dm/mohdm7", [-2400.0, -1600.0], [1800.0, 2500.0], 8.0, 304.0),
    BattleMap {
        game_types: OBJECTIVE,
        ..map("obj/obj_team1", [-3500.0, -3000.0], [3200.0, 2700.0], -32.0, 416.0)
    },
    BattleMap {
        game_types: OBJECTIVE,
        ..map("obj/obj_team2", [-2600.0, -4100.0], [3000.0, 3600.0], -448.0, 192.0)
    },
    BattleMap {
        game_types: OBJECTIVE,
        water: 0.14,
        ..map("obj/obj_team3", [-5200.0, -2600.0], [2300.0, 3100.0], -96.0, 544.0)
    },
    BattleMap {
        game_types: OBJECTIVE,
        ..map("obj/obj_team4", [-3800.0, -2400.0], [4100.0, 2000.0], -256.0, 320.0)
    },
];

impl BattleMap {
    /// Keeps a point inside the walls.
    pub fn clamp(&self, point: [f64; 3]) -> [f64; 3] {
        [
            point[0].clamp(self.min[0], self.max[0]),
            point[1].clamp(self.min[1], self.max[1]),
            point[2].clamp(self.floor, self.ceiling),
        ]
    }

    pub fn is_water(&self, point: [f64; 3]) -> bool {
        point[0] < self.min[0] + self.water * (self.max[0] - self.min[0])
    }
}

/// Places on a map and the ways between them.
#[derive(Debug)]
pub struct Paths {
    places: Vec<[f64; 3]>,
    /// For each place the places that a way leads to.
    ways: Vec<Vec<usize>>,
    allied_base: Vec<usize>,
    axis_base: Vec<usize>,
}

impl Paths {
    pub fn of(map: &BattleMap) -> Self {
        const COLUMNS: usize = 6;
        const ROWS: usize = 5;
        const NEIGHBOURS: usize = 3;
        let mut dice = Dice::new(0, map.name, &[]);
        let width = (map.max[0] - map.min[0]) / COLUMNS as f64;
        let depth = (map.max[1] - map.min[1]) / ROWS as f64;
        let mut places = Vec::with_capacity(COLUMNS * ROWS);
        for cell in 0..COLUMNS * ROWS {
            // A grid with holes and crooked rows looks like streets and yards rather than a parade ground.
            if dice.chance(0.2) {
                continue;
            }
            let column = (cell % COLUMNS) as f64 + dice.between(0.2, 0.8);
            let row = (cell / COLUMNS) as f64 + dice.between(0.2, 0.8);
            let upstairs = dice.chance(0.2);
            let height = if upstairs { (map.ceiling - map.floor) * dice.between(0.3, 0.9) } else { 0.0 };
            places.push([map.min[0] + column * width, map.min[1] + row * depth, map.floor + height]);
        }
        let mut ways = vec![Vec::new(); places.len()];
        for from in 0..places.len() {
            let mut others: Vec<usize> = (0..places.len()).filter(|other| *other != from).collect();
            others.sort_by(|a, b| {
                distance(places[from], places[*a]).total_cmp(&distance(places[from], places[*b]))
            });
            for to in others.into_iter().take(NEIGHBOURS) {
                ways[from].push(to);
                ways[to].push(from);
            }
        }
        let mut from_west: Vec<usize> = (0..places.len()).collect();
        from_west.sort_by(|a, b| places[*a][0].total_cmp(&places[*b][0]));
        let base = places.len() / 5 + 1;
        let axis_base = from_west[places.len() - base..].to_vec();
        from_west.truncate(base);
        Self { places, ways, allied_base: from_west, axis_base }
    }

    pub fn place(&self, index: usize) -> [f64; 3] {
        self.places[index]
    }

    pub fn anywhere(&self, dice: &mut Dice) -> usize {
        dice.below(self.places.len())
    }

    pub fn base(&self, side: Side, dice: &mut Dice) -> usize {
        match side {
            Side::Allies => *dice.pick(&self.allied_base),
            Side::Axis => *dice.pick(&self.axis_base),
            Side::Spectator => self.anywhere(dice),
        }
    }

    /// Where to go from a place: mostly along a way, now and then straight across the map.
    pub fn next(&self, from: usize, dice: &mut Dice) -> usize {
        if dice.chance(0.25) {
            return self.anywhere(dice);
        }
        *dice.pick(&self.ways[from])
    }
}

pub fn distance(a: [f64; 3], b: [f64; 3]) -> f64 {
    let [x, y, z] = [b[0] - a[0], b[1] - a[1], b[2] - a[2]];
    (x * x + y * y + z * z).sqrt()
}
