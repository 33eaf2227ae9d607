//! Draws what grows with what: SVG pictures with logarithmic axes, in the colours of the reader's day or night. Each point is one that
//! was measured; where there are fewer than two there is no picture.

use std::fmt::Write as _;
use std::path::Path;

use serde::Deserialize;

use crate::error::BenchError;
use crate::growth::GrowthReport;
use crate::targets::shown;

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 420.0;
const LEFT: f64 = 72.0;
const RIGHT: f64 = 190.0;
const TOP: f64 = 52.0;
const BOTTOM: f64 = 64.0;
/// Between the baselines of two names.
const LINE_HEIGHT: f64 = 16.0;
/// Beyond, only powers of ten have room for their numbers.
const DECADES_OF_SMALL_STEPS: f64 = 2.0;
/// Answers whose growth is drawn.
const ANSWERS: [&str; 5] =
    ["/stats/leaderboard", "/stats/matches", "page /", "page /players/<top>", "page /matches/<latest>"];

const STYLE: &str = "
text { font: 13px system-ui, sans-serif; fill: #1f2328; }
.title { font-size: 15px; font-weight: 600; }
.small { font-size: 11px; }
.small, .tick { fill: #59636e; }
.ground { fill: #ffffff; }
.grid { stroke: #d1d9e0; stroke-width: 1; }
.line { fill: none; stroke-width: 2; }
.s0 { stroke: #0969da; } .p0 { fill: #0969da; }
.s1 { stroke: #bc4c00; } .p1 { fill: #bc4c00; }
.s2 { stroke: #1a7f37; } .p2 { fill: #1a7f37; }
.s3 { stroke: #8250df; } .p3 { fill: #8250df; }
.s4 { stroke: #bf3989; } .p4 { fill: #bf3989; }
@media (prefers-color-scheme: dark) {
text { fill: #f0f6fc; }
.small, .tick { fill: #9198a1; }
.ground { fill: #0d1117; }
.grid { stroke: #3d444d; }
.s0 { stroke: #4493f8; } .p0 { fill: #4493f8; }
.s1 { stroke: #f0883e; } .p1 { fill: #f0883e; }
.s2 { stroke: #3fb950; } .p2 { fill: #3fb950; }
.s3 { stroke: #ab7df8; } .p3 { fill: #ab7df8; }
.s4 { stroke: #db61a2; } .p4 { fill: #db61a2; }
}
";
const HUES: usize = 5;

/// Points that belong together, all above 0.
pub struct Series {
    pub name: String,
    pub points: Vec<(f64, f64)>,
}

pub struct Plot {
    /// What its file is called, without what stands behind the dot.
    pub file: &'static str,
    pub title: &'static str,
    pub x: &'static str,
    pub y: &'static str,
    pub series: Vec<Series>,
    /// Small, below.
    pub note: String,
}

/// One axis: from the first to the last value, by powers.
struct Axis {
    from: f64,
    to: f64,
    start: f64,
    end: f64,
}

impl Axis {
    /// Around the values; `start` and `end` are where they come to lie.
    fn around(values: impl Iterator<Item = f64> + Clone, start: f64, end: f64) -> Self {
        let least = values.clone().fold(f64::INFINITY, f64::min);
        let most = values.fold(0.0, f64::max);
        let (from, mut to) = (step_below(least), step_above(most));
        if to <= from {
            to = from * 10.0;
        }
        Self { from, to, start, end }
    }

    fn place(&self, value: f64) -> f64 {
        let part = (value / self.from).log10() / (self.to / self.from).log10();
        self.start + part * (self.end - self.start)
    }

    fn ticks(&self) -> Vec<f64> {
        let has_room = (self.to / self.from).log10() <= DECADES_OF_SMALL_STEPS + 0.01;
        let steps: &[f64] = if has_room { &[1.0, 2.0, 5.0] } else { &[1.0] };
        let decades = self.from.log10().floor() as i32..=self.to.log10().ceil() as i32;
        let within = |tick: &f64| *tick >= self.from * 0.999 && *tick <= self.to * 1.001;
        decades
            .flat_map(|decade| steps.iter().map(move |step| step * 10_f64.powi(decade)))
            .filter(within)
            .collect()
    }
}

/// The next of 1, 2, 5, 10, … that is not above the value.
fn step_below(value: f64) -> f64 {
    let decade = 10_f64.powf(value.log10().floor());
    let step = [5.0, 2.0, 1.0].into_iter().find(|step| step * decade <= value * 1.000_001);
    step.unwrap_or(1.0) * decade
}

fn step_above(value: f64) -> f64 {
    let decade = 10_f64.powf(value.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].into_iter().find(|step| step * decade >= value * 0.999_999);
    step.unwrap_or(10.0) * decade
}

/// `0.05`, `200`, `10 k`, `5 M`
fn short(value: f64) -> String {
    let (scaled, unit) = match value {
        1e6.. => (value / 1e6, " M"),
        1e4.. => (value / 1e3, " k"),
        _ => (value, ""),
    };
    format!("{}{unit}", (scaled * 1e6).round() / 1e6)
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

impl Plot {
    /// None where there is nothing that grows.
    pub fn svg(&self) -> Option<String> {
        let drawn: Vec<&Series> = self.series.iter().filter(|series| series.points.len() >= 2).collect();
        if drawn.is_empty() {
            return None;
        }
        let all = drawn.iter().flat_map(|series| series.points.iter().copied());
        let x_axis = Axis::around(all.clone().map(|(x, _)| x), LEFT, WIDTH - RIGHT);
        let mut y_axis = Axis::around(all.map(|(_, y)| y), HEIGHT - BOTTOM, TOP);
        // What hardly changes shall look like it.
        y_axis.from = y_axis.from.min(step_below(y_axis.to / 10.0));
        let mut svg = String::new();
        // Writing to a string can't fail.
        let _ = self.write(&mut svg, &drawn, &x_axis, &y_axis);
        Some(svg)
    }

    fn write(&self, svg: &mut String, drawn: &[&Series], x_axis: &Axis, y_axis: &Axis) -> std::fmt::Result {
        let (left, right, top, bottom) = (LEFT, WIDTH - RIGHT, TOP, HEIGHT - BOTTOM);
        writeln!(
            svg,
            r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{}">"#,
            escaped(self.title)
        )?;
        writeln!(svg, "<style>{STYLE}</style>")?;
        writeln!(svg, r#"<rect class="ground" width="{WIDTH}" height="{HEIGHT}"/>"#)?;
        writeln!(svg, r#"<text class="title" x="{left}" y="24">{}</text>"#, escaped(self.title))?;
        writeln!(svg, r#"<text class="tick" x="{left}" y="{}">{}</text>"#, top - 10.0, escaped(self.y))?;
        for tick in x_axis.ticks() {
            let x = x_axis.place(tick);
            writeln!(svg, r#"<path class="grid" d="M{x:.1} {top}V{bottom}"/>"#)?;
            let (y, tick) = (bottom + 18.0, short(tick));
            writeln!(svg, r#"<text class="tick" x="{x:.1}" y="{y}" text-anchor="middle">{tick}</text>"#)?;
        }
        for tick in y_axis.ticks() {
            let y = y_axis.place(tick);
            writeln!(svg, r#"<path class="grid" d="M{left} {y:.1}H{right}"/>"#)?;
            let (x, y, tick) = (left - 8.0, y + 4.0, short(tick));
            writeln!(svg, r#"<text class="tick" x="{x}" y="{y:.1}" text-anchor="end">{tick}</text>"#)?;
        }
        let (middle, below) = (f64::midpoint(left, right), bottom + 36.0);
        let name = escaped(self.x);
        writeln!(svg, r#"<text class="tick" x="{middle}" y="{below}" text-anchor="middle">{name}</text>"#)?;
        let (note, lowest) = (escaped(&self.note), HEIGHT - 8.0);
        writeln!(svg, r#"<text class="small" x="{left}" y="{lowest}">{note}</text>"#)?;
        for (number, series) in drawn.iter().enumerate() {
            let hue = number % HUES;
            let places: Vec<String> = series
                .points
                .iter()
                .map(|(x, y)| format!("{:.1} {:.1}", x_axis.place(*x), y_axis.place(*y)))
                .collect();
            writeln!(svg, r#"<path class="line s{hue}" d="M{}"/>"#, places.join("L"))?;
            for (x, y) in &series.points {
                let title = escaped(&format!("{}: {} at {}", series.name, shown(*y), shown(*x)));
                let (x, y) = (x_axis.place(*x), y_axis.place(*y));
                writeln!(
                    svg,
                    r#"<circle class="p{hue}" cx="{x:.1}" cy="{y:.1}" r="3.5"><title>{title}</title></circle>"#
                )?;
            }
        }
        for (number, y) in name_places(drawn, y_axis) {
            let (x, hue, name) = (right + 10.0, number % HUES, escaped(&drawn[number].name));
            writeln!(svg, r#"<text class="p{hue}" x="{x}" y="{y:.1}">{name}</text>"#)?;
        }
        writeln!(svg, "</svg>")
    }
}

/// Where the names of the series stand: beside their last points, moved down where two would meet.
fn name_places(drawn: &[&Series], y_axis: &Axis) -> Vec<(usize, f64)> {
    let last = |series: &Series| series.points.last().map_or(0.0, |(_, y)| y_axis.place(*y) + 4.0);
    let mut places: Vec<(usize, f64)> =
        drawn.iter().enumerate().map(|(number, series)| (number, last(series))).collect();
    places.sort_by(|(_, one), (_, other)| one.total_cmp(other));
    let mut lowest = f64::NEG_INFINITY;
    for (_, y) in &mut places {
        *y = y.max(lowest + LINE_HEIGHT);
        lowest = *y;
    }
    places
}

/// Pictures of what a run of growth has measured.
pub fn of_growth(report: &GrowthReport, commit: &str) -> Vec<Plot> {
    let note =
        format!("{} cores for service, stores and load together; commit {commit}", report.machine_cores);
    let series = |name: &str, points: Vec<(f64, f64)>| Series {
        name: name.to_owned(),
        points: points.into_iter().filter(|(x, y)| *x > 0.0 && *y > 0.0).collect(),
    };
    let plot = |file, title, x, y, series| Plot { file, title, x, y, series, note: note.clone() };
    let of_sizes = |value: fn(&crate::growth::SizePoint) -> f64| {
        report.sizes.iter().map(|point| (point.events_a_request as f64, value(point))).collect()
    };
    let of_matches = |value: fn(&crate::growth::MatchPoint) -> f64| {
        report.matches.iter().map(|point| (point.matches as f64, value(point))).collect()
    };
    let of_viewers = |value: fn(&crate::growth::ViewerPoint) -> f64| {
        report.viewers.iter().map(|point| (point.viewers as f64, value(point))).collect()
    };
    let of_cores = |value: fn(&crate::growth::CorePoint) -> f64| {
        report.cores.iter().map(|point| (point.cores as f64, value(point))).collect()
    };
    vec![
        plot(
            "request-size",
            "CPU of an event, by the events of a request",
            "events a request",
            "µs of CPU an event",
            vec![
                series("service, until stored", of_sizes(|point| point.service_cpu_us_per_event)),
                series("handler that only parses", of_sizes(|point| point.handler_cpu_us_per_event)),
            ],
        ),
        plot(
            "matches-cpu",
            "CPU of an event, by the matches that are played",
            "live matches, 10,000 events/s together",
            "µs of CPU an event",
            vec![series("service, until stored", of_matches(|point| point.service_cpu_us_per_event))],
        ),
        plot(
            "matches-memory",
            "Memory, by the matches that are played",
            "live matches",
            "MB resident",
            vec![
                series("service", of_matches(|point| point.resident_bytes as f64 / 1e6)),
                series("service, idle", of_matches(|point| point.idle_bytes as f64 / 1e6)),
            ],
        ),
        plot(
            "viewers-cpu",
            "CPU of a delivered message, by viewers",
            "viewers of 200 matches, 4,000 events/s",
            "µs of CPU a message",
            vec![
                series(
                    "all of the service",
                    of_viewers(|point| point.service_cores * 1e6 / point.messages_per_second),
                ),
                series(
                    "beyond nobody watching",
                    of_viewers(|point| {
                        (point.service_cores - point.service_cores_unwatched) * 1e6
                            / point.messages_per_second
                    }),
                ),
            ],
        ),
        plot(
            "viewers-time",
            "From receipt to a viewer, by viewers",
            "viewers of 200 matches, 4,000 events/s",
            "ms",
            vec![
                series("p99", of_viewers(|point| point.p99_ms.unwrap_or_default())),
                series("p50", of_viewers(|point| point.p50_ms.unwrap_or_default())),
            ],
        ),
        plot(
            "cores",
            "Events a second, by the cores of the service",
            "cores that the service is held to",
            "events/s, arrays of 20",
            vec![
                series("accepted", of_cores(|point| point.accepted_per_second)),
                series("stored", of_cores(|point| point.stored_per_second)),
            ],
        ),
    ]
}

/// What is read of the report of questions over much data.
#[derive(Deserialize)]
struct Queries {
    scales: Vec<QueriedScale>,
}

#[derive(Deserialize)]
struct QueriedScale {
    events: u64,
    answers: Vec<QueriedAnswer>,
}

#[derive(Deserialize)]
struct QueriedAnswer {
    name: String,
    status: u16,
    read_rows: u64,
    answer_ms: f64,
}

/// Pictures of what questions cost, by the events that are stored.
///
/// # Errors
/// When the text is no such report.
pub fn of_queries(json: &str, commit: &str) -> Result<Vec<Plot>, BenchError> {
    let queries: Queries = serde_json::from_str(json)?;
    let series = |value: fn(&QueriedAnswer) -> f64| -> Vec<Series> {
        let of_answer = |name: &&str| {
            let point = |scale: &QueriedScale| {
                let answer = scale.answers.iter().find(|answer| answer.name == *name)?;
                (answer.status == 200 && value(answer) > 0.0).then(|| (scale.events as f64, value(answer)))
            };
            let mut points: Vec<(f64, f64)> = queries.scales.iter().filter_map(point).collect();
            points.sort_by(|(one, _), (other, _)| one.total_cmp(other));
            Series { name: (*name).to_owned(), points }
        };
        ANSWERS.iter().map(of_answer).collect()
    };
    let note = format!("answers with nothing in memory; commit {commit}");
    let plot = |file, title, y, series| Plot {
        file,
        title,
        x: "stored events of the same players",
        y,
        series,
        note: note.clone(),
    };
    Ok(vec![
        plot(
            "stored-rows",
            "Rows that an answer reads, by stored events",
            "rows",
            series(|answer| answer.read_rows as f64),
        ),
        plot("stored-time", "Time of an answer, by stored events", "ms", series(|answer| answer.answer_ms)),
    ])
}

/// Writes each picture that there is into the folder; gives their files' names.
///
/// # Errors
/// When a file can't be written.
pub fn write(plots: &[Plot], folder: &Path) -> Result<Vec<String>, BenchError> {
    std::fs::create_dir_all(folder).map_err(|source| BenchError::File { path: folder.to_owned(), source })?;
    let mut written = Vec::new();
    for plot in plots {
        let Some(svg) = plot.svg() else { continue };
        let path = folder.join(format!("{}.svg", plot.file));
        std::fs::write(&path, svg).map_err(|source| BenchError::File { path: path.clone(), source })?;
        written.push(path.display().to_string());
    }
    Ok(written)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_the_nearest_of_one_two_and_five() {
        assert_eq!([0.07, 1.0, 30.0, 999.0].map(step_below), [0.05, 1.0, 20.0, 500.0]);
        assert_eq!([0.07, 1.0, 30.0, 999.0].map(step_above), [0.1, 1.0, 50.0, 1_000.0]);
        assert_eq!([0.05, 500.0, 10_000.0, 2e6].map(short), ["0.05", "500", "10 k", "2 M"]);
    }

    #[test]
    #[allow(clippy::unwrap_used, reason = "a test")]
    fn every_point_is_drawn_once_and_nothing_else() {
        let points = vec![(1.0, 30.0), (10.0, 10.0), (1_000.0, 5.0)];
        let lonely = Series { name: "lonely".to_owned(), points: vec![(1.0, 1.0)] };
        let plot = |series| Plot { file: "a", title: "a", x: "x", y: "y", series, note: String::new() };
        let svg = plot(vec![Series { name: "a <b>".to_owned(), points }, lonely]).svg().unwrap();
        assert_eq!(svg.matches("<circle").count(), 3);
        assert!(svg.contains("a &lt;b&gt;: 5.00 at 1,000") && !svg.contains("lonely"), "{svg}");
        assert!(plot(Vec::new()).svg().is_none());
        assert!(of_growth(&GrowthReport::default(), "abc").iter().all(|plot| plot.svg().is_none()));
    }

    #[test]
    fn names_that_would_meet_stand_below_each_other() {
        let series = |y| Series { name: String::new(), points: vec![(1.0, 1.0), (2.0, y)] };
        let (one, other) = (series(100.0), series(101.0));
        let axis = Axis { from: 1.0, to: 1_000.0, start: 300.0, end: 0.0 };
        let places = name_places(&[&one, &other], &axis);
        assert!(places[1].1 - places[0].1 >= LINE_HEIGHT);
        assert_eq!((places[0].0, places[1].0), (1, 0), "the higher one stands higher");
    }

    #[test]
    #[allow(clippy::unwrap_used, reason = "a test")]
    fn answers_are_drawn_over_what_is_stored() {
        let scale = |events: u64, rows: u64| {
            serde_json::json!({ "events": events, "answers": [
                { "name": "page /", "status": 200, "read_rows": rows, "answer_ms": 12.5 },
                { "name": "/stats/matches", "status": 500, "read_rows": 3, "answer_ms": 1.0 },
            ]})
        };
        let json = serde_json::json!({ "scales": [scale(1_000_000, 40_000), scale(10_000_000, 160_000)] });
        let plots = of_queries(&json.to_string(), "abc").unwrap();
        let svg = plots[0].svg().unwrap();
        assert_eq!(svg.matches("<circle").count(), 2);
        assert!(svg.contains("page /: 160,000 at 10,000,000"), "{svg}");
    }
}
