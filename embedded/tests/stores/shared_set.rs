//! What tests get from `testing`.

use mohaa_embedded::testing::TestStores;
use sqlx::{Connection as _, Row as _};

#[tokio::test]
async fn each_test_gets_databases_of_its_own() {
    let stores = TestStores::shared().await;
    let first = stores.database("first").await;
    let second = stores.database("Second, of mine").await;
    assert_ne!(first.redis_url, second.redis_url);
    assert_ne!(first.clickhouse_url, second.clickhouse_url);
    let mut connection = sqlx::PgConnection::connect(&first.postgres_url).await.unwrap();
    sqlx::query("CREATE TABLE only_here (a INT)").execute(&mut connection).await.unwrap();
    let mut connection = sqlx::PgConnection::connect(&second.postgres_url).await.unwrap();
    let row = sqlx::query("SELECT count(*), current_setting('fsync'), current_setting('server_encoding') FROM pg_tables WHERE tablename = 'only_here'")
        .fetch_one(&mut connection)
        .await
        .unwrap();
    assert_eq!(row.get::<i64, _>(0), 0);
    assert_eq!((row.get::<&str, _>(1), row.get::<&str, _>(2)), ("on", "UTF8"));
}

#[tokio::test]
async fn every_store_of_the_set_is_healthy() {
    let stores = TestStores::shared().await;
    for health in stores.stores().health().await {
        assert!(health.healthy, "{health:?}");
    }
}
