//! Plain SQL over `raw_events`: `value` by `id` of everything that answers count.

/// As boards and profiles count: without what a bot took part in.
pub const PEOPLE: &str = "NOT player_bot AND NOT target_bot";
/// Order of events within a match.
const IN_ORDER: &str = "ifNull(level_time, 0), event_at, spool_seq, spool_index";
/// Kills that score and tell where both stood.
pub const MEASURED: &str = "kill_kind = 'kill' AND player_id != '' AND player_x IS NOT NULL AND player_y IS NOT NULL \
     AND player_z IS NOT NULL AND target_x IS NOT NULL AND target_y IS NOT NULL AND target_z IS NOT NULL";
pub const METRES: &str = "sqrt(pow(toFloat64(player_x) - target_x, 2) + pow(toFloat64(player_y) - target_y, 2) + \
     pow(toFloat64(player_z) - target_z, 2)) * 0.3048 / 16";
pub const KILOMETRES: &str =
    "sum(ifNull(walked, 0) + ifNull(sprinted, 0) + ifNull(swam, 0) + ifNull(driven, 0)) * 0.3048 / 16 / 1000";

/// Counts of the events that meet a condition.
pub struct Counts {
    condition: String,
    /// Of whose matches; SQL over `id`.
    whose: String,
}

impl Counts {
    /// Of what people did among themselves.
    pub fn of_people() -> Self {
        Self::of_all_where(PEOPLE)
    }

    /// As [`Counts::of_people`], where the condition holds too.
    pub fn of_people_where(condition: &str) -> Self {
        Self::of_all_where(&format!("{PEOPLE} AND {condition}"))
    }

    /// Of everything, bots' deeds too, where the condition holds.
    pub fn of_all_where(condition: &str) -> Self {
        Self { condition: condition.to_owned(), whose: "1".to_owned() }
    }

    /// Of matches only those with this player in them, as theirs.
    pub fn of_player(self, player: &str) -> Self {
        Self { whose: format!("id = '{player}'"), ..self }
    }

    /// By an expression over the events that are such.
    pub fn by(&self, id: &str, what: &str, is_such: &str) -> String {
        format!(
            "SELECT toString({id}) AS id, toFloat64({what}) AS value FROM raw_events \
             WHERE {is_such} AND {} GROUP BY id",
            self.condition
        )
    }

    pub fn of_actors(&self, what: &str, is_such: &str) -> String {
        self.by("player_id", what, &format!("player_id != '' AND {is_such}"))
    }

    pub fn of_targets(&self, what: &str, is_such: &str) -> String {
        self.by("target_id", what, &format!("target_id != '' AND {is_such}"))
    }

    pub fn kills(&self) -> String {
        self.of_actors("count()", "kill_kind = 'kill'")
    }

    pub fn deaths(&self) -> String {
        self.of_targets("count()", "kill_kind != ''")
    }

    pub fn headshots(&self) -> String {
        self.of_actors("count()", "is_headshot")
    }

    pub fn damage(&self) -> String {
        self.of_actors("sum(ifNull(damage, 0))", "type = 'damage' AND is_hostile")
    }

    /// Every event once for each player in it: `id`, `team` and the event's own columns.
    pub fn appearances(&self) -> String {
        let condition = &self.condition;
        format!(
            "(SELECT *, player_id AS id, player_team AS team, player_bot AS bot FROM raw_events \
             WHERE player_id != '' AND {condition} \
             UNION ALL SELECT *, target_id AS id, target_team AS team, target_bot AS bot FROM raw_events \
             WHERE target_id != '' AND target_id != player_id AND {condition})"
        )
    }

    /// Kills and deaths of each player: `id`, `is_kill` and the event's own columns.
    fn fights(&self) -> String {
        let condition = &self.condition;
        format!(
            "(SELECT *, player_id AS id, true AS is_kill FROM raw_events \
             WHERE kill_kind = 'kill' AND player_id != '' AND {condition} \
             UNION ALL SELECT *, target_id AS id, false AS is_kill FROM raw_events \
             WHERE kill_kind != '' AND target_id != '' AND {condition})"
        )
    }

    /// Fire and hit events where a server sent any for the player, else its summaries; by `id` from columns of the event.
    fn shots(&self, id: &str, events: &str, summaries: &str) -> String {
        format!(
            "SELECT id, sum(if(fired > 0, toFloat64({events}), toFloat64({summaries}))) AS value FROM (\
             SELECT toString({id}) AS id, player_id, server_id, countIf(type = 'weapon_fire') AS fired, \
             countIf(type = 'weapon_hit') AS hit, \
             sumIf(greatest(ifNull(shots_fired, 0), 0), type = 'accuracy_summary') AS summed_fired, \
             sumIf(greatest(ifNull(shots_hit, 0), 0), type = 'accuracy_summary') AS summed_hit FROM raw_events \
             WHERE player_id != '' AND {} GROUP BY id, player_id, server_id) GROUP BY id",
            self.condition
        )
    }

    pub fn shots_fired_by(&self, id: &str) -> String {
        self.shots(id, "fired", "summed_fired")
    }

    pub fn shots_hit_by(&self, id: &str) -> String {
        self.shots(id, "hit", "summed_hit")
    }

    pub fn shots_fired(&self) -> String {
        self.shots_fired_by("player_id")
    }

    pub fn shots_hit(&self) -> String {
        self.shots_hit_by("player_id")
    }

    pub fn streaks(&self) -> String {
        format!(
            "SELECT id, toFloat64(max(run)) AS value FROM (SELECT id, match_id, life, countIf(is_kill) AS run FROM (\
             SELECT id, match_id, is_kill, countIf(NOT is_kill) OVER (PARTITION BY id, match_id ORDER BY {IN_ORDER}) AS life \
             FROM {}) GROUP BY id, match_id, life) GROUP BY id",
            self.fights()
        )
    }

    /// Rows of kills within four seconds of each other, of a length.
    pub fn multi_kills(&self, length: &str) -> String {
        format!(
            "SELECT id, toFloat64(countIf({length})) AS value FROM (SELECT id, match_id, row_of, countIf(is_kill) AS n FROM (\
             SELECT id, match_id, is_kill, countIf(begins) OVER (PARTITION BY id, match_id ORDER BY at, nth) AS row_of FROM (\
             SELECT id, match_id, is_kill, at, nth, NOT is_kill OR nth = 1 OR at - lagInFrame(at) OVER \
             (PARTITION BY id, match_id ORDER BY at, nth ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) > 4 AS begins FROM (\
             SELECT id, match_id, is_kill, ifNull(level_time, toFloat64(event_at)) AS at, row_number() OVER \
             (PARTITION BY id, match_id ORDER BY ifNull(level_time, toFloat64(event_at)), event_at, spool_seq, spool_index) AS nth \
             FROM {}))) GROUP BY id, match_id, row_of) GROUP BY id",
            self.fights()
        )
    }

    /// Of each match a player was in: the seconds, the side they were last on, and the map.
    fn played(&self) -> String {
        format!(
            "(SELECT id, match_id, argMaxIf(toString(team), (event_at, spool_seq, spool_index), team IN ('allies', 'axis', 'freeforall', 'spectator')) AS side, \
             max(toString(map_name)) AS map, \
             if(countIf(level_time IS NOT NULL) > 0, max(round(level_time * 1000)) - min(round(level_time * 1000)), \
             toFloat64(dateDiff('millisecond', min(event_at), max(event_at)))) / 1000 AS seconds \
             FROM {} WHERE {} GROUP BY id, match_id)",
            self.appearances(),
            self.whose
        )
    }

    /// Matches by an expression over `id` (the player) and `map`.
    pub fn matches_by(&self, by: &str) -> String {
        format!(
            "SELECT toString({by}) AS id, toFloat64(count()) AS value FROM {} AS played GROUP BY {by}",
            self.played()
        )
    }

    pub fn seconds_by(&self, by: &str) -> String {
        format!(
            "SELECT toString({by}) AS id, round(sum(seconds)) AS value FROM {} AS played GROUP BY {by}",
            self.played()
        )
    }

    pub fn won_by(&self, by: &str) -> String {
        format!(
            "SELECT toString({by}) AS id, toFloat64(count()) AS value FROM {} AS played INNER JOIN {ENDS} AS decided \
             USING (match_id) WHERE side = winner AND winner IN ('allies', 'axis') GROUP BY {by}",
            self.played()
        )
    }

    /// Matches whose first kill that scores was theirs.
    pub fn first_kills() -> String {
        format!(
            "SELECT id, toFloat64(count()) AS value FROM (SELECT match_id, argMin(player_id, ({IN_ORDER})) AS id, \
             argMin(player_bot OR target_bot, ({IN_ORDER})) AS bots FROM raw_events \
             WHERE kill_kind = 'kill' AND player_id != '' GROUP BY match_id) WHERE NOT bots GROUP BY id"
        )
    }
}

/// Who won each match that was ended by its match_end.
pub const ENDS: &str = "(SELECT match_id, argMaxIf(toString(winning_team), (event_at, spool_seq, spool_index), type = 'match_end' AND winning_team != '') \
     AS winner FROM raw_events GROUP BY match_id HAVING countIf(type = 'match_end') > 0)";
