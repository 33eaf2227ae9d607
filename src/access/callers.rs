//! The caller types of people. The application holds `web::Data<Sessions>`.

use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest};

use super::{Access, Caller};
use crate::auth::{self, Identity};
use crate::http::ApiError;
use crate::users::Role;

/// Everybody: somebody who is signed in, or nobody. A token that can't be used counts as nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Anyone(pub Option<Identity>);

/// A signed-in user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SignedIn(pub Identity);

/// A signed-in user who may run tournaments and add servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Organizer(pub Identity);

/// A signed-in user who may do everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Admin(pub Identity);

impl Caller for Anyone {
    const ACCESS: Access = Access::Anyone;
}

impl Caller for SignedIn {
    const ACCESS: Access = Access::Role(Role::Player);
}

impl Caller for Organizer {
    const ACCESS: Access = Access::Role(Role::Organizer);
}

impl Caller for Admin {
    const ACCESS: Access = Access::Role(Role::Admin);
}

fn with_role(request: &HttpRequest, least: Role) -> Result<Identity, ApiError> {
    let identity = auth::identify(request)?;
    match identity.role >= least {
        true => Ok(identity),
        false => Err(ApiError::forbidden("not_allowed", format!("only an {least} may do this"))),
    }
}

impl FromRequest for Anyone {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(match auth::identify(request) {
            Ok(identity) => Ok(Self(Some(identity))),
            Err(error) if error.status().is_server_error() => Err(error),
            Err(_) => Ok(Self(None)),
        })
    }
}

macro_rules! from_request_by_role {
    ($($caller:ident)*) => {
        $(impl FromRequest for $caller {
            type Error = ApiError;
            type Future = Ready<Result<Self, ApiError>>;

            fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
                let Access::Role(least) = Self::ACCESS else { return ready(Err(ApiError::internal("not a role"))) };
                ready(with_role(request, least).map(Self))
            }
        })*
    };
}

from_request_by_role!(SignedIn Organizer Admin);
