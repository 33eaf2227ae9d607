//! What the HTTP servers are given and where they listen.

use std::net::{SocketAddr, TcpListener};

use actix_web::dev::ServerHandle;
use actix_web::middleware::{Compress, from_fn};
use actix_web::web::{self, Data};
use actix_web::{App, HttpServer};
use sqlx::PgPool;

use super::StartError;
use crate::achievements::AchievementStore;
use crate::auth::{self, SessionCookies, Sessions, ShortCodes};
use crate::config::RegistrationPolicy;
use crate::http::assets::Assets;
use crate::http::client_address::TrustedProxies;
use crate::http::{self, BaseUrl, requests, security};
use crate::ingest::Ingest;
use crate::limits::{GuessLimits, Limits};
use crate::live::Live;
use crate::ops::handlers::Ops;
use crate::pages::{self, FrameAncestors, Pages};
use crate::servers::{ServerStatuses, ServerTokens};
use crate::sign_in::{Devices, SignIn};
use crate::stats::Stats;
use crate::tournaments::Tournaments;
use crate::webhooks::WebhookSettings;
use crate::{access, routes};

/// What each HTTP worker is given.
#[derive(Clone)]
pub(super) struct State {
    pub(super) assets: Assets,
    pub(super) pages: Data<Pages>,
    pub(super) stats: Data<Stats>,
    pub(super) achievements: Data<AchievementStore>,
    pub(super) ingest: Data<Ingest>,
    pub(super) ops: Data<Ops>,
    pub(super) postgres: Data<PgPool>,
    pub(super) server_tokens: Data<ServerTokens>,
    pub(super) sessions: Data<Sessions>,
    pub(super) session_cookies: Data<SessionCookies>,
    pub(super) short_codes: Data<ShortCodes>,
    pub(super) sign_in: Data<SignIn>,
    pub(super) devices: Data<Devices>,
    pub(super) base_url: Data<BaseUrl>,
    pub(super) frame_ancestors: Data<FrameAncestors>,
    pub(super) guess_limits: Data<GuessLimits>,
    pub(super) live: Data<Live>,
    pub(super) tournaments: Data<Tournaments>,
    pub(super) limits: Data<Limits>,
    pub(super) trusted_proxies: Data<TrustedProxies>,
    pub(super) registration_policy: Data<RegistrationPolicy>,
    pub(super) webhook_settings: Data<WebhookSettings>,
    pub(super) server_statuses: Data<ServerStatuses>,
    pub(super) metrics_are_elsewhere: bool,
}

impl State {
    pub(super) fn configure(&self, service: &mut web::ServiceConfig) {
        service
            .app_data(self.pages.clone())
            .app_data(self.stats.clone())
            .app_data(self.achievements.clone())
            .app_data(self.ingest.clone())
            .app_data(self.ops.clone())
            .app_data(self.postgres.clone())
            .app_data(self.session_cookies.clone())
            .app_data(self.short_codes.clone())
            .app_data(self.sign_in.clone())
            .app_data(self.devices.clone())
            .app_data(self.base_url.clone())
            .app_data(self.frame_ancestors.clone())
            .app_data(self.guess_limits.clone())
            .app_data(self.live.clone())
            .app_data(self.tournaments.clone())
            .app_data(self.limits.clone())
            .app_data(self.trusted_proxies.clone())
            .app_data(self.registration_policy.clone())
            .app_data(self.webhook_settings.clone())
            .app_data(self.server_statuses.clone())
            .app_data(self.server_tokens.clone())
            .app_data(self.sessions.clone())
            .app_data(pages::error_pages())
            .configure(http::configure_extractors)
            // Thousands of requests a second with answers of a line: nothing here for a browser to heed or unpack.
            .configure(|service| access::mount(service, &routes::of_game_servers()))
            .service(
                web::scope("")
                    .wrap(from_fn(requests::refuse_nul))
                    .wrap(from_fn(auth::keep_signed_in))
                    .wrap(from_fn(pages::tell_what_was_done))
                    .wrap(from_fn(security::headers))
                    .wrap(Compress::default())
                    .configure(|service| self.configure_what_people_see(service)),
            );
    }

    fn configure_what_people_see(&self, service: &mut web::ServiceConfig) {
        self.assets.configure(service);
        access::mount(service, &routes::of_people(self.metrics_are_elsewhere));
    }
}

pub(super) fn bind(address: SocketAddr) -> Result<TcpListener, StartError> {
    TcpListener::bind(address).map_err(|source| StartError::Listen { address, source })
}

pub(super) fn serve_ops(address: SocketAddr, ops: Data<Ops>) -> Result<ServerHandle, StartError> {
    let listener = bind(address)?;
    if let Ok(bound) = listener.local_addr() {
        tracing::info!(url = crate::config::local_url(bound), "health, readiness and metrics");
    }
    let server = HttpServer::new(move || {
        App::new().app_data(ops.clone()).configure(|service| access::mount(service, &routes::of_operators()))
    })
    .workers(1)
    .disable_signals()
    .listen(listener)
    .map_err(|source| StartError::Listen { address, source })?
    .run();
    let handle = server.handle();
    actix_web::rt::spawn(server);
    Ok(handle)
}
