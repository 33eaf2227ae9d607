//! Leaderboards: every column of every row.

use super::sql::{Counts, KILOMETRES};
use super::{per_death, percent, season_of_two_days};
use crate::support::{Counted, Numbers, Season};

/// The fields of a board's rows under `list`, of the events that meet a condition; `stat` is what it ranks by.
pub async fn compare_board(season: &Season, list: &str, numbers: &mut Numbers, condition: &str, stat: &str) {
    let of_a_weapon = condition.contains("weapon = ");
    let here = Counts::of_people_where(condition);
    let counted = async |sql: String| season.counted(&sql).await;
    let kills = counted(here.kills()).await;
    let deaths = counted(here.deaths()).await;
    let headshots = counted(here.headshots()).await;
    let damage = counted(here.damage()).await;
    let (fired, hit) = match of_a_weapon {
        true => (
            counted(here.of_actors("count()", "type = 'weapon_fire'")).await,
            counted(here.of_actors("count()", "type = 'weapon_hit'")).await,
        ),
        false => (counted(here.shots_fired()).await, counted(here.shots_hit()).await),
    };
    // Matches, wins and time are of the matches on a map, not of what was done with a weapon.
    let of_matches = if of_a_weapon { Counts::of_people() } else { Counts::of_people_where(condition) };
    let played = counted(of_matches.matches_by("id")).await;
    let won = counted(of_matches.won_by("id")).await;
    let seconds = counted(of_matches.seconds_by("id")).await;
    let nameless = match of_a_weapon {
        true => {
            counted(Counts::of_people().of_actors("count()", "type = 'weapon_hit' AND weapon = ''")).await
        }
        false => Counted::new(),
    };
    let of = |counted: &Counted, player: &String| counted.get(player).copied().unwrap_or_default();
    let everybody = numbers.names(&format!("{list}/rank"));
    let each = |figure: &dyn Fn(&String) -> f64| -> Counted {
        everybody.iter().map(|player| (player.clone(), figure(player))).collect()
    };
    let kd_ratio = each(&|player| per_death(of(&kills, player), of(&deaths, player)));
    let share = each(&|player| percent(of(&headshots, player), of(&kills, player)));
    let mut accuracy = each(&|player| percent(of(&hit, player), of(&fired, player)));
    if of_a_weapon {
        accuracy.retain(|player, _| of(&fired, player) > 0.0 && !nameless.contains_key(player));
        assert_eq!(
            numbers.names(&format!("{list}/accuracy")),
            accuracy.keys().cloned().collect(),
            "accuracy under {condition} is known"
        );
    }
    let walked = counted(here.of_actors(KILOMETRES, "type = 'distance'")).await;
    let streaks = counted(here.streaks()).await;
    let win_rate = each(&|player| percent(of(&won, player), of(&played, player)));
    let value = match stat {
        "kills" => &kills,
        "deaths" => &deaths,
        "kd_ratio" => &kd_ratio,
        "headshots" => &headshots,
        "headshot_percent" => &share,
        "accuracy" => &accuracy,
        "damage" => &damage,
        "wins" => &won,
        "win_rate" => &win_rate,
        "playtime" => &seconds,
        "distance" => &walked,
        "killstreak" => &streaks,
        _ => panic!("what is {stat}?"),
    };
    let told = numbers.take(&format!("{list}/value"));
    let tolerance =
        if stat.contains("percent") || stat == "accuracy" || stat == "win_rate" { 0.0501 } else { 0.00501 };
    for (player, told) in &told {
        let counted = of(value, player);
        assert!(
            (told - counted).abs() <= tolerance,
            "{stat} of {player} under {condition}: {told}, counted {counted}"
        );
    }
    // The first is the first, and each next one has no more.
    let ranks = numbers.take(&format!("{list}/rank"));
    let mut in_order: Vec<(f64, &String)> = ranks.iter().map(|(player, rank)| (*rank, player)).collect();
    in_order.sort_by(|one, other| one.0.total_cmp(&other.0));
    for (place, (rank, player)) in in_order.iter().enumerate() {
        assert_eq!(*rank, (place + 1) as f64, "rank of {player} under {condition}");
        let before = place.checked_sub(1).map(|place| told[in_order[place].1]);
        assert!(
            before.is_none_or(|before| before >= told[*player]),
            "{player} stands too low under {condition}"
        );
    }
    for (field, counted) in [
        ("kills", &kills),
        ("deaths", &deaths),
        ("kd_ratio", &kd_ratio),
        ("headshots", &headshots),
        ("headshot_percent", &share),
        ("accuracy", &accuracy),
        ("damage", &damage),
        ("matches_played", &played),
        ("matches_won", &won),
        ("playtime_seconds", &seconds),
    ] {
        numbers.among(&format!("{list}/{field}"), counted);
    }
    numbers.leave(&format!("{list}/rating"), "ratings_of_a_season_are_those_of_a_replay_of_its_matches");
}

#[actix_web::test]
async fn every_number_of_a_leaderboard_is_that_of_a_recount() {
    let season = season_of_two_days("recount_boards").await;
    let samples = [
        ("kills", None),
        ("deaths", None),
        ("kd_ratio", Some(10)),
        ("headshots", None),
        ("headshot_percent", Some(10)),
        ("accuracy", Some(100)),
        ("damage", None),
        ("wins", None),
        ("win_rate", Some(5)),
        ("playtime", None),
        ("distance", None),
        ("killstreak", None),
    ];
    let map =
        season.get("/api/v1/stats/maps?limit=1").await["maps"][0]["map_name"].as_str().unwrap().to_owned();
    let weapon =
        season.get("/api/v1/stats/weapons?limit=1").await["weapons"][0]["slug"].as_str().unwrap().to_owned();
    let boards = [
        (String::new(), "1".to_owned()),
        (String::from("/weekly"), "toMonday(toDate(event_at)) = toMonday(today())".to_owned()),
        (format!("/map/{map}"), format!("map_name = '{map}'")),
        (format!("/weapon/{weapon}"), format!("weapon = '{weapon}'")),
    ];
    let mut rows = 0;
    for (rest, condition) in &boards {
        for (stat, sample) in samples {
            if rest.starts_with("/weapon")
                && ["wins", "win_rate", "playtime", "distance", "killstreak"].contains(&stat)
            {
                continue;
            }
            let question = format!("/api/v1/stats/leaderboard{rest}?stat={stat}&limit=100");
            let answer = season.get(&question).await;
            let mut numbers = Numbers::of(&question, &answer);
            let listed = answer["players"].as_array().unwrap().len();
            rows += listed;
            numbers.is_one_page(100, listed);
            match sample {
                Some(sample) => numbers.is("min_sample", sample),
                None => numbers.is_unknown("min_sample"),
            }
            compare_board(&season, "players[]", &mut numbers, condition, stat).await;
            numbers.are_all_compared();
        }
    }
    assert!(rows > 300, "{rows} rows: too few to tell anything");
    season.service.stop().await;
}
