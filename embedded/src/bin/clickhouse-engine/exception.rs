//! Errors in ClickHouse's shape: a code, the text `Code: 60. DB::Exception: … (UNKNOWN_TABLE)`, and
//! the HTTP status a server gives it.

use hyper::StatusCode;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exception {
    pub code: u32,
    /// The whole text, as clients show it.
    pub text: String,
}

/// Codes of errors that the gateway itself raises.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    BadArguments = 36,
    NotImplemented = 48,
    SyntaxError = 62,
    UnknownSetting = 115,
    CannotDecompress = 271,
    QueryWithSameIdIsAlreadyRunning = 216,
    TooManyBytes = 307,
    SessionNotFound = 372,
    SessionIsLocked = 373,
    QueryWasCancelled = 394,
    AuthenticationFailed = 516,
    UnknownException = 1002,
}

impl Code {
    fn name(self) -> &'static str {
        match self {
            Code::BadArguments => "BAD_ARGUMENTS",
            Code::NotImplemented => "NOT_IMPLEMENTED",
            Code::SyntaxError => "SYNTAX_ERROR",
            Code::UnknownSetting => "UNKNOWN_SETTING",
            Code::CannotDecompress => "CANNOT_DECOMPRESS",
            Code::QueryWithSameIdIsAlreadyRunning => "QUERY_WITH_SAME_ID_IS_ALREADY_RUNNING",
            Code::TooManyBytes => "TOO_MANY_BYTES",
            Code::SessionNotFound => "SESSION_NOT_FOUND",
            Code::SessionIsLocked => "SESSION_IS_LOCKED",
            Code::QueryWasCancelled => "QUERY_WAS_CANCELLED",
            Code::AuthenticationFailed => "AUTHENTICATION_FAILED",
            Code::UnknownException => "UNKNOWN_EXCEPTION",
        }
    }
}

impl Exception {
    pub fn new(code: Code, message: impl std::fmt::Display) -> Self {
        let number = code as u32;
        Exception {
            code: number,
            text: format!("Code: {number}. DB::Exception: {message}. ({})", code.name()),
        }
    }

    /// Takes the engine's error text, which normally starts with its code.
    pub fn from_engine(text: &str) -> Self {
        let code = text
            .strip_prefix("Code: ")
            .and_then(|rest| rest.split_once('.'))
            .and_then(|(number, _)| number.parse().ok());
        match code {
            Some(code) => Exception { code, text: text.trim_end().to_owned() },
            None => Exception::new(Code::UnknownException, text.trim_end()),
        }
    }

    /// The status of a ClickHouse server (`exceptionCodeToHTTPStatus` of its HTTP handler).
    pub fn status(&self) -> StatusCode {
        match self.code {
            194 => StatusCode::UNAUTHORIZED,
            192 | 193 | 516 => StatusCode::FORBIDDEN,
            6 | 26 | 27 | 36 | 38 | 41 | 53 | 56 | 62 | 69 | 72 | 117 | 131 | 271 | 427 | 457 | 467 => {
                StatusCode::BAD_REQUEST
            }
            46 | 47 | 50 | 60 | 63 | 73 | 78 | 81 | 115 | 511 | 372 => StatusCode::NOT_FOUND,
            159 => StatusCode::REQUEST_TIMEOUT,
            307 => StatusCode::PAYLOAD_TOO_LARGE,
            48 => StatusCode::NOT_IMPLEMENTED,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_engines_text_keeps_its_code_and_name() {
        let text = "Code: 60. DB::Exception: Unknown table 'x'. (UNKNOWN_TABLE)";
        let exception = Exception::from_engine(text);
        assert_eq!((exception.code, exception.text.as_str()), (60, text));
        assert_eq!(exception.status(), StatusCode::NOT_FOUND);
        assert_eq!(Exception::from_engine("odd").code, 1002);
    }
}
