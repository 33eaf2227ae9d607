//! Who is calling: sessions and their tokens, the browser's cookies, one-time login links, and the token that keeps
//! forms from being sent by other sites.

mod access_token;
mod browser;
mod csrf;
mod handlers;
mod identity;
mod login_link;
mod revocations;
mod session;
mod sessions;
mod short_codes;

pub use access_token::{ACCESS_TOKEN_LIFETIME, AccessTokens, Claims, InvalidAccessToken, Subject};
pub use browser::{keep_signed_in, sign_browser_in};
pub use csrf::{CSRF_COOKIE, CsrfToken, asked_host, is_cross_site};
pub use handlers::{AuthApi, TokenPair, routes};
pub use identity::{Identity, identify};
pub use login_link::{
    LoginLinkError, consume_login_link, find_login_link, make_further_login_link, make_login_link,
};
pub use revocations::Revocations;
pub use session::{CODE_COOKIE, NEW_SECRET_COOKIE, REFRESH_COOKIE, SESSION_COOKIE, SessionCookies};
pub use sessions::{
    ListedSession, OpenedSession, SESSION_LIFETIME, SessionError, SessionKind, Sessions, end_everything,
};

pub use short_codes::ShortCodes;

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use sha2::{Digest, Sha256};

/// So many random bytes from the operating system's generator, as text that is safe in URLs and headers.
pub fn random_code(bytes: usize) -> String {
    let mut random = vec![0_u8; bytes];
    rand::fill(&mut random[..]);
    BASE64_URL_SAFE_NO_PAD.encode(random)
}

/// SHA-256, which is enough for codes that are random themselves: nothing shorter than the code can be tried.
pub fn hash_of_code(code: &str) -> [u8; 32] {
    Sha256::digest(code.as_bytes()).into()
}
