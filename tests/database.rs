//! A fresh PostgreSQL database with our schema, for tests that need no other store.

use mohaa_embedded::testing::TestStores;
use mohaa_stats::{config::StoreUrl, postgres};
use sqlx::PgPool;

pub struct Database {
    pub pool: PgPool,
    pub url: String,
}

pub async fn fresh_database(name_hint: &str) -> Database {
    let url = TestStores::shared().await.database(name_hint).await.postgres_url;
    let pool = postgres::pool(&StoreUrl::postgres(&url).unwrap()).await.unwrap();
    postgres::migrate(&pool).await.unwrap();
    Database { pool, url }
}
