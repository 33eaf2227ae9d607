//! Addresses of stores that are several servers: `scheme://user:password@host1:port,host2:port/path?parameters`, as libpq has
//! them. A URL has one host, so they are taken apart here.

use super::parse::Problem;

/// An address with several hosts, whose other parts are as they were written.
#[derive(Clone, PartialEq, Eq)]
pub struct SeveralHosts<'a> {
    pub scheme: &'a str,
    /// Encoded.
    pub user: &'a str,
    pub password: Option<&'a str>,
    /// Each with its port, where one was given.
    pub hosts: Vec<&'a str>,
    /// Without the slash.
    pub path: &'a str,
    /// Names and values, as they were written.
    pub parameters: Vec<(&'a str, &'a str)>,
}

impl<'a> SeveralHosts<'a> {
    /// # Errors
    /// When the text is no such address, with one host or several.
    pub fn parse(text: &'a str) -> Result<Self, Problem> {
        let (scheme, rest) = text.split_once("://").ok_or("is not a URL")?;
        let (rest, parameters) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        // The last one: whatever comes before may be a password.
        let (credentials, hosts) = authority.rsplit_once('@').unwrap_or(("", authority));
        let (user, password) = match credentials.split_once(':') {
            Some((user, password)) => (user, Some(password)),
            None => (credentials, None),
        };
        let hosts: Vec<&str> = hosts.split(',').collect();
        let is_host = |host: &&str| {
            !host.is_empty()
                && host
                    .chars()
                    .all(|character| character.is_ascii_alphanumeric() || "-._:[]".contains(character))
        };
        if !hosts.iter().all(is_host) {
            return Err("names no host, or one that is none".to_owned());
        }
        if path.contains(['@', ',']) {
            return Err("has a password with a / that is not written as %2F".to_owned());
        }
        let parameters = parameters
            .split('&')
            .filter(|pair| !pair.is_empty())
            .map(|pair| pair.split_once('=').unwrap_or((pair, "")));
        Ok(Self { scheme, user, password, hosts, path, parameters: parameters.collect() })
    }

    /// The same address of one host, without the parameters that `is_left_out` names.
    pub fn of_host(&self, host: &str, is_left_out: impl Fn(&str) -> bool) -> String {
        let credentials = match (self.user, self.password) {
            ("", None) => String::new(),
            (user, None) => format!("{user}@"),
            (user, Some(password)) => format!("{user}:{password}@"),
        };
        let parameters: Vec<String> = self
            .parameters
            .iter()
            .filter(|(name, _)| !is_left_out(name))
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let mark = if parameters.is_empty() { "" } else { "?" };
        format!("{}://{credentials}{host}/{}{mark}{}", self.scheme, self.path, parameters.join("&"))
    }

    /// Without the password, and without parameters, which may hold one.
    pub fn shown(&self, hidden: &str) -> String {
        let credentials = match (self.user, self.password) {
            ("", None) => String::new(),
            (user, None) => format!("{user}@"),
            (user, Some(_)) => format!("{user}:{hidden}@"),
        };
        format!("{}://{credentials}{}/{}", self.scheme, self.hosts.join(","), self.path)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn an_address_of_several_hosts_is_one_of_each() {
        let all = SeveralHosts::parse(
            "postgres://u:p%40@a:5432,b/db?sslmode=require&target_session_attrs=read-write",
        )
        .unwrap();
        assert_eq!(all.hosts, ["a:5432", "b"]);
        let without = |name: &str| name == "target_session_attrs";
        assert_eq!(all.of_host("b", without), "postgres://u:p%40@b/db?sslmode=require");
        assert_eq!(all.shown("***"), "postgres://u:***@a:5432,b/db");
        let bare = SeveralHosts::parse("redis+sentinel://[::1]:1,[::2]:2/main").unwrap();
        assert_eq!((bare.hosts.len(), bare.path, bare.password), (2, "main", None));
    }

    #[test]
    fn what_could_show_a_password_in_another_part_is_no_address() {
        for wrong in
            ["a,b", "postgres://", "postgres://u:p/q@a,b/db", "postgres://a,,b/db", "postgres://a b,c/db"]
        {
            assert!(SeveralHosts::parse(wrong).is_err(), "{wrong}");
        }
    }
}
