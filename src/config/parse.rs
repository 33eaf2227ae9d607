//! Readers of the plain kinds of value: numbers, durations, sizes, addresses, lists. Each says what is wrong in
//! words that stand after the setting's name; the settings' table adds what is allowed.

use ipnet::IpNet;
use std::{
    fmt::Display,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    ops::RangeInclusive,
    str::FromStr,
    time::Duration,
};

/// Why a text is not the value that its setting wants.
pub type Problem = String;

pub fn whole_number<N>(text: &str, allowed: RangeInclusive<N>) -> Result<N, Problem>
where
    N: FromStr + PartialOrd + Display,
{
    let number: N = text.parse().map_err(|_| "is not a whole number in range".to_owned())?;
    within(number, allowed, |bound| bound.to_string())
}

/// A duration: numbers with a unit each (`500ms`, `2s`, `1m30s`, `7d`); a bare number counts seconds.
pub fn duration(text: &str, allowed: RangeInclusive<Duration>) -> Result<Duration, Problem> {
    let duration = duration_of(text)?;
    if allowed.contains(&duration) {
        return Ok(duration);
    }
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err("is out of range (a bare number counts seconds)".to_owned());
    }
    Err("is out of range".to_owned())
}

fn duration_of(text: &str) -> Result<Duration, Problem> {
    let not_a_duration = || "is not a duration such as 500ms, 2s, 10m, 12h or 7d".to_owned();
    if let Ok(seconds) = text.parse::<u64>() {
        return Ok(Duration::from_secs(seconds));
    }
    let mut rest = text;
    let mut total = Duration::ZERO;
    while !rest.is_empty() {
        let (number, after_number) = split_number(rest);
        let unit_length = after_number.bytes().take_while(u8::is_ascii_alphabetic).count();
        let (unit, after_unit) = after_number.split_at(unit_length);
        let milliseconds_per_unit: u64 = match unit {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return Err(not_a_duration()),
        };
        let part = match number.parse::<u64>() {
            Ok(count) => count.checked_mul(milliseconds_per_unit).map(Duration::from_millis),
            // `0.5s`
            Err(_) => number.parse::<f64>().ok().and_then(|count| {
                Duration::try_from_secs_f64(count * milliseconds_per_unit as f64 / 1_000.0).ok()
            }),
        };
        let part = part.ok_or_else(not_a_duration)?;
        total = total.checked_add(part).ok_or_else(not_a_duration)?;
        rest = after_unit;
    }
    if text.is_empty() { Err(not_a_duration()) } else { Ok(total) }
}

/// A size in bytes: plain, or with a decimal (`KB MB GB TB`) or binary (`KiB MiB GiB TiB`) unit.
pub fn size(text: &str, allowed: RangeInclusive<u64>) -> Result<u64, Problem> {
    let not_a_size = || "is not a size such as 65536, 64MB or 4GiB".to_owned();
    let (number, unit) = split_number(text);
    let bytes_per_unit: u64 = match unit.trim_start().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "kb" => 1_000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        "tb" => 1_000_000_000_000,
        "kib" => 1 << 10,
        "mib" => 1 << 20,
        "gib" => 1 << 30,
        "tib" => 1 << 40,
        _ => return Err(not_a_size()),
    };
    let bytes = match number.parse::<u64>() {
        Ok(count) => count.checked_mul(bytes_per_unit).ok_or_else(not_a_size)?,
        // `1.5GiB`; the conversion saturates, and the range check below refuses what is absurd.
        Err(_) => (number.parse::<f64>().map_err(|_| not_a_size())? * bytes_per_unit as f64) as u64,
    };
    within(bytes, allowed, |bound| format!("{bound} bytes"))
}

/// A number of days, 0 for none: `90`, `90d`.
pub fn days(text: &str) -> Result<u32, Problem> {
    whole_number(text.strip_suffix('d').unwrap_or(text), 0..=36_500)
}

/// A name that needs no quotes.
pub fn plain_name(text: &str) -> Result<String, Problem> {
    let is_plain = |character: char| character.is_ascii_alphanumeric() || matches!(character, '_' | '-');
    match !text.is_empty() && text.len() <= 128 && text.chars().all(is_plain) {
        true => Ok(text.to_owned()),
        false => Err("is no plain name".to_owned()),
    }
}

pub fn switch(text: &str) -> Result<bool, Problem> {
    match text.to_ascii_lowercase().as_str() {
        "on" | "true" | "yes" | "1" => Ok(true),
        "off" | "false" | "no" | "0" => Ok(false),
        _ => Err("is neither on nor off".to_owned()),
    }
}

/// Where to listen: an address, a port, or both; what is not said is left to other settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListenAddress {
    pub ip: Option<IpAddr>,
    pub port: Option<u16>,
}

pub fn listen_address(text: &str) -> Result<ListenAddress, Problem> {
    let problem = || "is not an address to listen on".to_owned();
    let without_brackets = text.trim_start_matches('[').trim_end_matches(']');
    if let Ok(ip) = without_brackets.parse() {
        return Ok(ListenAddress { ip: Some(ip), port: None });
    }
    if let Some(port) = text.strip_prefix(':') {
        return Ok(ListenAddress { ip: None, port: Some(port.parse().map_err(|_| problem())?) });
    }
    if let Some(rest) = text.strip_prefix("localhost") {
        return match rest.strip_prefix(':') {
            Some(port) => Ok(ListenAddress {
                ip: Some(Ipv4Addr::LOCALHOST.into()),
                port: Some(port.parse().map_err(|_| problem())?),
            }),
            None if rest.is_empty() => Ok(ListenAddress { ip: Some(Ipv4Addr::LOCALHOST.into()), port: None }),
            None => Err(problem()),
        };
    }
    let address: SocketAddr = text.parse().map_err(|_| problem())?;
    Ok(ListenAddress { ip: Some(address.ip()), port: Some(address.port()) })
}

/// An address with a port, for an endpoint that has no other setting to take the port from.
pub fn socket_address(text: &str) -> Result<SocketAddr, Problem> {
    match listen_address(text)? {
        ListenAddress { ip: Some(ip), port: Some(port) } => Ok(SocketAddr::new(ip, port)),
        _ => Err("needs both an address and a port".to_owned()),
    }
}

/// Networks, divided by commas; a lone address is a network of one.
pub fn networks(text: &str) -> Result<Vec<IpNet>, Problem> {
    let network = |part: &str| {
        part.parse::<IpNet>()
            .or_else(|_| part.parse::<IpAddr>().map(IpNet::from))
            .map_err(|_| format!("has {part:?}, which is neither an address nor a network"))
    };
    list(text).map(network).collect()
}

/// Sources of the policy `frame-ancestors`: everybody, nobody, this site, or origins whose host may begin with `*.`.
pub fn frame_ancestors(text: &str) -> Result<String, Problem> {
    match text.trim() {
        "*" => return Ok("*".to_owned()),
        "none" => return Ok("'none'".to_owned()),
        "self" => return Ok("'self'".to_owned()),
        _ => {}
    }
    let is_origin = |word: &&str| {
        let host = word.strip_prefix("https://").or_else(|| word.strip_prefix("http://"));
        host.map(|host| host.strip_prefix("*.").unwrap_or(host)).is_some_and(|host| {
            let is_of_host = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b':');
            !host.is_empty() && host.bytes().all(is_of_host)
        })
    };
    let words: Vec<&str> = text.split_ascii_whitespace().collect();
    match words.iter().find(|word| !is_origin(word)) {
        Some(wrong) => Err(format!("has {wrong:?}, which is no origin")),
        None if words.is_empty() => Err("names nobody: say none".to_owned()),
        None => Ok(format!("'self' {}", words.join(" "))),
    }
}

/// The parts of a list divided by commas, without white space and empty parts.
pub fn list(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|part| !part.is_empty())
}

fn split_number(text: &str) -> (&str, &str) {
    let number_length = text.bytes().take_while(|byte| byte.is_ascii_digit() || *byte == b'.').count();
    text.split_at(number_length)
}

fn within<N: PartialOrd>(
    number: N,
    allowed: RangeInclusive<N>,
    show: impl Fn(&N) -> String,
) -> Result<N, Problem> {
    if allowed.contains(&number) {
        return Ok(number);
    }
    let (least, most) = (show(allowed.start()), show(allowed.end()));
    Err(format!("is out of range (from {least} to {most})"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    const ANY_DURATION: RangeInclusive<Duration> = Duration::ZERO..=Duration::MAX;

    #[test]
    fn durations_have_units_and_bare_numbers_count_seconds() {
        let read = |text| duration(text, ANY_DURATION);
        assert_eq!(read("500ms").unwrap(), Duration::from_millis(500));
        assert_eq!(read("2s").unwrap(), Duration::from_secs(2));
        assert_eq!(read("10m").unwrap(), Duration::from_secs(600));
        assert_eq!(read("1m30s").unwrap(), Duration::from_secs(90));
        assert_eq!(read("0.5s").unwrap(), Duration::from_millis(500));
        assert_eq!(read("7d").unwrap(), Duration::from_secs(7 * 86_400));
        assert_eq!(read("12h").unwrap(), Duration::from_secs(12 * 3_600));
        assert_eq!(read("30").unwrap(), Duration::from_secs(30));
        for wrong in ["", "s", "5 s", "5w", "-1s", "1s5", "1..2s", "99999999999999999999d"] {
            assert!(read(wrong).is_err(), "{wrong:?}");
        }
        let too_long = duration("500", Duration::ZERO..=Duration::from_secs(60)).unwrap_err();
        assert!(too_long.contains("bare number counts seconds"), "{too_long}");
    }

    #[test]
    fn sizes_have_decimal_and_binary_units() {
        let read = |text| size(text, 0..=u64::MAX);
        assert_eq!(read("65536").unwrap(), 65_536);
        assert_eq!(read("64MB").unwrap(), 64_000_000);
        assert_eq!(read("1MiB").unwrap(), 1_048_576);
        assert_eq!(read("4 GiB").unwrap(), 4 << 30);
        assert_eq!(read("1.5GiB").unwrap(), 3 << 29);
        assert_eq!(read("2kb").unwrap(), 2_000);
        for wrong in ["", "MiB", "1M", "-1", "1 2", "99999999999TiB"] {
            assert!(read(wrong).is_err(), "{wrong:?}");
        }
        assert!(size("1MiB", 0..=1_000).unwrap_err().contains("to 1000 bytes"));
    }

    #[test]
    fn an_address_to_listen_on_may_leave_out_a_part() {
        let at = |ip: &str, port| ListenAddress { ip: Some(ip.parse().unwrap()), port };
        assert_eq!(listen_address("127.0.0.1:9000").unwrap(), at("127.0.0.1", Some(9000)));
        assert_eq!(listen_address("0.0.0.0").unwrap(), at("0.0.0.0", None));
        assert_eq!(listen_address("[::1]:80").unwrap(), at("::1", Some(80)));
        assert_eq!(listen_address("::").unwrap(), at("::", None));
        assert_eq!(listen_address("localhost:0").unwrap(), at("127.0.0.1", Some(0)));
        assert_eq!(listen_address(":8081").unwrap(), ListenAddress { ip: None, port: Some(8081) });
        for wrong in ["", ":", "127.0.0.1:", "127.0.0.1:70000", "example.org:80", "localhostile"] {
            assert!(listen_address(wrong).is_err(), "{wrong:?}");
        }
        assert!(socket_address("127.0.0.1").unwrap_err().contains("port"));
    }

    #[test]
    fn networks_are_addresses_or_prefixes() {
        let proxies = networks("10.0.0.0/8, 127.0.0.1,::1").unwrap();
        assert!(proxies[0].contains(&"10.1.2.3".parse::<IpAddr>().unwrap()));
        assert!(!proxies[1].contains(&"127.0.0.2".parse::<IpAddr>().unwrap()));
        assert_eq!(proxies.len(), 3);
        assert!(networks("10.0.0.0/8,proxy").unwrap_err().contains("\"proxy\""));
    }

    #[test]
    fn days_and_switches_are_read() {
        assert_eq!((days("0").unwrap(), days("90").unwrap(), days("30d").unwrap()), (0, 90, 30));
        assert!(days("-1").is_err());
        assert!(switch("On").unwrap() && !switch("false").unwrap());
        assert!(switch("maybe").is_err());
    }

    proptest! {
        #[test]
        fn no_text_makes_a_reader_panic(text in ".{0,24}") {
            let _ = duration(&text, ANY_DURATION);
            let _ = size(&text, 0..=u64::MAX);
            let _ = listen_address(&text);
            let _ = networks(&text);
        }

        #[test]
        fn milliseconds_are_read_as_written(milliseconds in 0u64..10_000_000_000) {
            let expected = Duration::from_millis(milliseconds);
            prop_assert_eq!(duration(&format!("{milliseconds}ms"), ANY_DURATION).unwrap(), expected);
        }
    }
}
