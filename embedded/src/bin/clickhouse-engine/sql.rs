//! Just enough of ClickHouse's lexer to route a statement: what it does, which format it names,
//! where inline data begins, and what must not run through the gateway.
//!
//! Nothing here validates SQL; the engine's parser does. The lexer only has to agree with it about
//! where strings, quoted names and comments end, so that a keyword inside one is never mistaken.

/// A significant token: whitespace and comments are left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Token<'a> {
    kind: TokenKind,
    text: &'a str,
    start: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum TokenKind {
    Word,
    QuotedName,
    Text,
    Symbol,
}

impl Token<'_> {
    fn is_word(&self, word: &str) -> bool {
        self.kind == TokenKind::Word && self.text.eq_ignore_ascii_case(word)
    }

    fn is_symbol(&self, symbol: &str) -> bool {
        self.kind == TokenKind::Symbol && self.text == symbol
    }

    fn end(&self) -> usize {
        self.start + self.text.len()
    }
}

/// What a statement is, as far as the gateway treats it differently.
#[derive(Debug, PartialEq, Eq)]
pub enum Statement {
    /// Runs as it is; `format` is the one its text names.
    Query {
        sql: String,
        format: Option<String>,
        /// `SET`, `USE` and temporary tables change the connection, which then must not be reused.
        changes_connection: bool,
    },
    /// Rows follow: `data` is what the text itself holds of them.
    Insert { sql: String, format: String, data: String },
    /// `KILL QUERY WHERE query_id …` or `… WHERE startsWith(query_id, …)`, or of `initial_query_id`.
    Kill { query_ids: QueryIds, mode: KillMode, format: Option<String> },
}

/// Which statements a kill is about.
#[derive(Debug, PartialEq, Eq)]
pub enum QueryIds {
    Exactly(Vec<String>),
    StartingWith(String),
}

impl QueryIds {
    pub fn include(&self, query_id: &str) -> bool {
        match self {
            QueryIds::Exactly(query_ids) => query_ids.iter().any(|known| known == query_id),
            QueryIds::StartingWith(prefix) => query_id.starts_with(prefix.as_str()),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KillMode {
    /// `SYNC`: returns when the statements have ended.
    Wait,
    /// `ASYNC`, the default: returns at once.
    DontWait,
    /// `TEST`: tells which would be killed.
    Test,
}

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Refusal {
    #[error("Empty query")]
    Empty,
    #[error("Multi-statements are not allowed")]
    SeveralStatements,
    #[error("INTO OUTFILE and FROM INFILE are not allowed")]
    File,
    #[error(
        "only KILL QUERY WHERE query_id = '…', query_id IN (…) or startsWith(query_id, '…') is supported"
    )]
    Kill,
}

/// Splits the text of one request into what the gateway does with it. Rows after `VALUES` or
/// `FORMAT x` of an insert are never looked at: they may hold anything.
pub fn parse(sql: &str) -> Result<Statement, Refusal> {
    if let Some(insert) = parse_insert(sql)? {
        return Ok(insert);
    }
    let mut tokens: Vec<Token<'_>> = Lexer { sql, position: 0 }.collect();
    while tokens.last().is_some_and(|token| token.is_symbol(";")) {
        tokens.pop();
    }
    let Some(last) = tokens.last() else {
        return Err(Refusal::Empty);
    };
    refuse_dangerous(&tokens)?;
    let format = named_format(&tokens);
    if tokens[0].is_word("KILL") && tokens.get(1).is_some_and(|token| token.is_word("QUERY")) {
        return parse_kill(&tokens, format);
    }
    let changes_connection = tokens[0].is_word("SET")
        || tokens[0].is_word("USE")
        || tokens.iter().any(|token| token.is_word("TEMPORARY"));
    Ok(Statement::Query {
        sql: with_public_processes(&sql[..last.end()], &tokens),
        format,
        changes_connection,
    })
}

fn refuse_dangerous(tokens: &[Token<'_>]) -> Result<(), Refusal> {
    if tokens.iter().any(|token| token.is_symbol(";")) {
        return Err(Refusal::SeveralStatements);
    }
    let file = tokens.windows(2).any(|pair| {
        (pair[0].is_word("INTO") && pair[1].is_word("OUTFILE"))
            || (pair[0].is_word("FROM") && pair[1].is_word("INFILE"))
    });
    // `a PARALLEL WITH b` is several statements in one.
    let parallel = tokens.windows(2).any(|pair| pair[0].is_word("PARALLEL") && pair[1].is_word("WITH"));
    if parallel {
        return Err(Refusal::SeveralStatements);
    }
    if file { Err(Refusal::File) } else { Ok(()) }
}

/// The format of a trailing `FORMAT name`, which `SETTINGS …` may follow.
fn named_format(tokens: &[Token<'_>]) -> Option<String> {
    let position = tokens.iter().rposition(|token| token.is_word("FORMAT"))?;
    let name = tokens.get(position + 1)?;
    let after = tokens.get(position + 2);
    let ends = after.is_none_or(|token| token.is_word("SETTINGS"));
    (name.kind == TokenKind::Word && ends).then(|| name.text.to_owned())
}

/// An insert whose rows follow; `None` for anything else, `INSERT … SELECT` included.
fn parse_insert(sql: &str) -> Result<Option<Statement>, Refusal> {
    let mut lexer = Lexer { sql, position: 0 };
    let mut seen = Vec::new();
    let mut next = || {
        let token = lexer.next()?;
        seen.push(token);
        Some(token)
    };
    if !next().is_some_and(|token| token.is_word("INSERT"))
        || !next().is_some_and(|token| token.is_word("INTO"))
    {
        return Ok(None);
    }
    let mut depth = 0_usize;
    let mut previous: Option<Token<'_>> = None;
    let mut table_named = false;
    while let Some(token) = next() {
        let after_parenthesis = previous.is_some_and(|token| token.is_symbol("("));
        // In `database.values` the keyword is a name.
        let is_keyword = table_named && !previous.is_some_and(|token| token.is_symbol("."));
        let is_clause = is_keyword && depth == 0;
        let selects = (token.is_word("SELECT") || token.is_word("WITH"))
            && is_keyword
            && (depth == 0 || after_parenthesis);
        if token.is_symbol(";") || selects {
            return Ok(None);
        }
        if token.is_word("VALUES") && is_clause {
            refuse_dangerous(&seen)?;
            return Ok(Some(Statement::Insert {
                sql: sql[..token.start].trim_end().to_owned(),
                format: "Values".to_owned(),
                data: sql[token.end()..].to_owned(),
            }));
        }
        if token.is_word("FORMAT") && is_clause {
            let Some(name) = next() else {
                return Ok(None);
            };
            refuse_dangerous(&seen)?;
            return Ok(Some(Statement::Insert {
                sql: sql[..token.start].trim_end().to_owned(),
                format: name.text.to_owned(),
                data: inline_rows(&sql[name.end()..]).to_owned(),
            }));
        }
        if token.is_symbol("(") {
            depth += 1;
        } else if token.is_symbol(")") {
            depth = depth.saturating_sub(1);
        } else if matches!(token.kind, TokenKind::Word | TokenKind::QuotedName)
            && !(token.is_word("TABLE") || token.is_word("FUNCTION"))
        {
            table_named = true;
        }
        previous = Some(token);
    }
    if !table_named {
        return Ok(None);
    }
    refuse_dangerous(&seen)?;
    // `INSERT INTO t (a)` with the rows in the body reads as Values, like a server's default.
    Ok(Some(Statement::Insert {
        sql: sql.trim_end().to_owned(),
        format: "Values".to_owned(),
        data: String::new(),
    }))
}

/// The separator after the format's name is not data: one optional semicolon, spaces, one line end.
fn inline_rows(rest: &str) -> &str {
    let rest = rest.trim_start_matches([' ', '\t', '\r']);
    let rest = rest.strip_prefix(';').unwrap_or(rest);
    rest.strip_prefix('\n').unwrap_or(rest)
}

fn parse_kill(tokens: &[Token<'_>], format: Option<String>) -> Result<Statement, Refusal> {
    let mut rest = tokens[2..].iter().copied();
    let mut next = || rest.next().ok_or(Refusal::Kill);
    if !next()?.is_word("WHERE") {
        return Err(Refusal::Kill);
    }
    let first = next()?;
    let by_prefix = first.is_word("startsWith");
    if by_prefix {
        let is_call = next()?.is_symbol("(");
        let column = next()?;
        // All that a statement begins runs within it.
        if !is_call || !(column.is_word("query_id") || column.is_word("initial_query_id")) {
            return Err(Refusal::Kill);
        }
    } else {
        let operator = next()?;
        if !first.is_word("query_id") || !(operator.is_symbol("=") || operator.is_word("IN")) {
            return Err(Refusal::Kill);
        }
    }
    let mut query_ids = Vec::new();
    let mut mode = KillMode::DontWait;
    while let Some(token) = rest.next() {
        match token.kind {
            TokenKind::Text => query_ids.push(unquote(token.text)),
            TokenKind::Symbol if matches!(token.text, "(" | ")" | ",") => {}
            TokenKind::Word if token.is_word("SYNC") => mode = KillMode::Wait,
            TokenKind::Word if token.is_word("TEST") => mode = KillMode::Test,
            TokenKind::Word if token.is_word("ASYNC") => {}
            TokenKind::Word if token.is_word("FORMAT") => {
                rest.next();
            }
            _ => return Err(Refusal::Kill),
        }
    }
    let query_ids = match (by_prefix, query_ids.as_slice()) {
        (_, []) => return Err(Refusal::Kill),
        (false, _) => QueryIds::Exactly(query_ids),
        (true, [prefix]) if !prefix.is_empty() => QueryIds::StartingWith(prefix.clone()),
        (true, _) => return Err(Refusal::Kill),
    };
    Ok(Statement::Kill { query_ids, mode, format })
}

fn unquote(text: &str) -> String {
    let inner = text.strip_prefix('\'').and_then(|text| text.strip_suffix('\'')).unwrap_or(text);
    let mut value = String::with_capacity(inner.len());
    let mut characters = inner.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' | '\'' => value.extend(characters.next()),
            _ => value.push(character),
        }
    }
    value
}

/// The comment that marks a running statement as one attempt of a client's `query_id`.
pub fn attempt_marker(attempt: u64, query_id: &str) -> String {
    use std::fmt::Write as _;
    let mut marker = format!("\n/*attempt:{attempt}:");
    for byte in query_id.bytes() {
        // Writing to a `String` cannot fail.
        let _ = write!(marker, "{byte:02x}");
    }
    marker.push_str("*/");
    marker
}

/// The engine gives every statement an id of its own; what clients see of `system.processes` shows
/// the `query_id` they sent instead, and their text without the marker.
const PUBLIC_PROCESSES: &str = "(SELECT * REPLACE (\
    if(match(query, '/\\\\*attempt:[0-9]+:[0-9a-f]+\\\\*/'), \
       unhex(extract(query, '/\\\\*attempt:[0-9]+:([0-9a-f]+)\\\\*/')), query_id) AS query_id, \
    replaceRegexpOne(query, '\\\\n/\\\\*attempt:[0-9]+:[0-9a-f]*\\\\*/', '') AS query) \
    FROM system.processes)";

fn with_public_processes(sql: &str, tokens: &[Token<'_>]) -> String {
    let mut text = String::with_capacity(sql.len());
    let mut copied = 0;
    for triple in tokens.windows(4) {
        let reads = triple[0].is_word("FROM") || triple[0].is_word("JOIN");
        if reads && triple[1].is_word("system") && triple[2].is_symbol(".") && triple[3].is_word("processes")
        {
            text.push_str(&sql[copied..triple[1].start]);
            text.push_str(PUBLIC_PROCESSES);
            copied = triple[3].end();
        }
    }
    text.push_str(&sql[copied..]);
    text
}

struct Lexer<'a> {
    sql: &'a str,
    position: usize,
}

impl<'a> Iterator for Lexer<'a> {
    type Item = Token<'a>;

    fn next(&mut self) -> Option<Token<'a>> {
        self.skip_blank();
        let start = self.position;
        let rest = &self.sql[start..];
        let first = rest.chars().next()?;
        let (kind, length) = match first {
            '\'' => (TokenKind::Text, quoted_length(rest, '\'')),
            '"' | '`' => (TokenKind::QuotedName, quoted_length(rest, first)),
            '$' => match heredoc_length(rest) {
                Some(length) => (TokenKind::Text, length),
                None => (TokenKind::Word, word_length(rest)),
            },
            _ if is_word_character(first) => (TokenKind::Word, word_length(rest)),
            _ => (TokenKind::Symbol, first.len_utf8()),
        };
        self.position = start + length;
        Some(Token { kind, text: &rest[..length], start })
    }
}

impl Lexer<'_> {
    fn skip_blank(&mut self) {
        loop {
            let rest = &self.sql[self.position..];
            let trimmed = rest.trim_start();
            self.position += rest.len() - trimmed.len();
            let line_comment =
                trimmed.starts_with("--") || trimmed.starts_with("# ") || trimmed.starts_with("#!");
            if line_comment {
                self.position += trimmed.find('\n').unwrap_or(trimmed.len());
            } else if trimmed.starts_with("/*") {
                self.position += trimmed.find("*/").map_or(trimmed.len(), |end| end + 2);
            } else {
                return;
            }
        }
    }
}

fn is_word_character(character: char) -> bool {
    character.is_alphanumeric() || character == '_' || character == '$'
}

fn word_length(rest: &str) -> usize {
    rest.find(|character| !is_word_character(character)).unwrap_or(rest.len())
}

fn quoted_length(rest: &str, quote: char) -> usize {
    let mut characters = rest.char_indices().skip(1).peekable();
    while let Some((position, character)) = characters.next() {
        if character == '\\' {
            characters.next();
        } else if character == quote {
            if characters.peek().is_none_or(|(_, next)| *next != quote) {
                return position + quote.len_utf8();
            }
            characters.next();
        }
    }
    rest.len()
}

/// `$tag$ … $tag$`; `None` when it is no heredoc.
fn heredoc_length(rest: &str) -> Option<usize> {
    let tag_end = rest[1..].find('$')? + 2;
    let tag = &rest[..tag_end];
    if !tag[1..tag_end - 1].chars().all(|character| character.is_alphanumeric() || character == '_') {
        return None;
    }
    let body_end = rest[tag_end..].find(tag)?;
    Some(tag_end + body_end + tag.len())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;
    use proptest::prelude::*;

    fn insert(sql: &str) -> (String, String, String) {
        match parse(sql).unwrap() {
            Statement::Insert { sql, format, data } => (sql, format, data),
            other => panic!("not an insert: {other:?}"),
        }
    }

    #[test]
    fn rows_after_the_format_are_data_whatever_they_hold() {
        let (sql, format, data) = insert("INSERT INTO d.`t` (`a`, b) FORMAT CSV\n1;2\n\n'\n");
        assert_eq!(sql, "INSERT INTO d.`t` (`a`, b)");
        assert_eq!(format, "CSV");
        assert_eq!(data, "1;2\n\n'\n");
    }

    #[test]
    fn values_and_a_table_called_values_are_told_apart() {
        let (sql, format, data) = insert("insert into values (values) values (1); select 2");
        assert_eq!(sql, "insert into values (values)");
        assert_eq!((format.as_str(), data.as_str()), ("Values", " (1); select 2"));
    }

    #[test]
    fn a_keyword_after_a_database_is_a_table() {
        let (sql, format, _) = insert("INSERT INTO d.values FORMAT CSV");
        assert_eq!((sql.as_str(), format.as_str()), ("INSERT INTO d.values", "CSV"));
    }

    #[test]
    fn an_insert_with_a_select_runs_as_a_query() {
        for sql in [
            "INSERT INTO t SELECT 1 FORMAT TSV",
            "INSERT INTO t (a) WITH x AS (SELECT 1) SELECT * FROM x",
            "INSERT INTO t (SELECT 1)",
        ] {
            assert!(matches!(parse(sql).unwrap(), Statement::Query { .. }), "{sql}");
        }
    }

    #[test]
    fn files_and_several_statements_are_refused_and_look_alikes_are_not() {
        for sql in [
            "SELECT 1 INTO OUTFILE '/tmp/x'",
            "select 1 into/* */outfile '/tmp/x'",
            "INSERT INTO t FROM INFILE '/etc/passwd' FORMAT CSV",
        ] {
            assert_eq!(parse(sql), Err(Refusal::File), "{sql}");
        }
        assert_eq!(parse("SELECT 1; SELECT 2"), Err(Refusal::SeveralStatements));
        assert_eq!(parse(" -- nothing\n;"), Err(Refusal::Empty));
        for sql in ["SELECT 'a;b', `into`, \"outfile;\" -- ; into outfile", "SELECT $x$ ; into outfile $x$;"]
        {
            assert!(parse(sql).is_ok(), "{sql}");
        }
    }

    #[test]
    fn the_named_format_is_found_and_a_function_argument_is_not_one() {
        for (sql, expected) in [
            ("SELECT 1 FORMAT JSON", Some("JSON")),
            ("SELECT 1 format TSV SETTINGS max_threads = 1", Some("TSV")),
            ("SELECT 'FORMAT JSON'", None),
            ("SELECT format('{}', 1)", None),
        ] {
            let Statement::Query { format, .. } = parse(sql).unwrap() else {
                panic!("not a query: {sql}");
            };
            assert_eq!(format.as_deref(), expected, "{sql}");
        }
    }

    #[test]
    fn kill_by_query_id_is_recognised() {
        let Statement::Kill { query_ids, mode, .. } =
            parse("KILL QUERY WHERE query_id IN ('a', 'b\\'c') SYNC").unwrap()
        else {
            panic!("not a kill");
        };
        assert_eq!(query_ids, QueryIds::Exactly(vec!["a".into(), "b'c".into()]));
        assert_eq!(mode, KillMode::Wait);
        let by_prefix = parse("KILL QUERY WHERE startsWith(query_id, 'batch-') SYNC").unwrap();
        let query_ids = QueryIds::StartingWith("batch-".into());
        assert_eq!(by_prefix, Statement::Kill { query_ids, mode: KillMode::Wait, format: None });
        let of_initiator = parse("KILL QUERY WHERE startsWith(initial_query_id, 'batch-') SYNC").unwrap();
        assert_eq!(of_initiator, by_prefix);
        assert_eq!(parse("KILL QUERY WHERE user = 'x' SYNC"), Err(Refusal::Kill));
        assert_eq!(parse("KILL QUERY WHERE startsWith(query_id, '')"), Err(Refusal::Kill));
    }

    proptest! {
        #[test]
        fn no_text_makes_the_lexer_panic_or_stall(sql in ".{0,200}") {
            let _ = parse(&sql);
        }

        #[test]
        fn a_quoted_string_never_changes_the_route(text in "[^'\\\\]{0,40}") {
            let sql = format!("SELECT '{text}'");
            let is_query = matches!(parse(&sql), Ok(Statement::Query { format: None, .. }));
            prop_assert!(is_query, "{}", sql);
        }
    }
}
