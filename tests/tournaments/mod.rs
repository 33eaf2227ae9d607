//! Tournaments over HTTP, as organizers, captains and onlookers use them.

mod achievements;
mod crash;
mod evening;
mod formats;
mod games;
mod life;
mod log;
mod results;
mod roles;
mod witness;
