//! What other sites show of a page where somebody links to it.

use actix_web::http::StatusCode;
use actix_web::http::header::{CONTENT_TYPE, ETAG};
use mohaa_stats::users::Role;
use serde_json::json;

use crate::support::statistics::{PUBLIC_URL, StatsUnderTest, kill};
use crate::support::{Cup, Service};

const TODAY: &str = "2026-11-22T11:59:00Z";

/// The path of the picture that a page says is its own.
fn picture_of(page: &str) -> Option<&str> {
    let address = page.split("<meta property=\"og:image\" content=\"").nth(1)?.split('"').next()?;
    address.strip_prefix(PUBLIC_URL)
}

#[actix_web::test]
async fn a_page_tells_other_sites_where_its_picture_is_and_there_it_is() {
    let this = StatsUnderTest::start("cards").await;
    let kill_of = |victim: &str| {
        let mut kill = kill("1", victim, TODAY, 1);
        kill.0.player.name = format!("^1{}", "W".repeat(31)).into();
        kill
    };
    this.store(&[kill_of("2")]).await;
    for page in
        ["/players/1", "/players/1/maps", "/players/1/matches", "/players/1/rivals", "/matches/round-1"]
    {
        let shown = this.get(page).await.text;
        let path = picture_of(&shown).unwrap_or_else(|| panic!("{page}: {shown}"));
        assert_eq!(shown.matches("og:image\"").count(), 1, "{page}");
        let card = this.get(path).await;
        assert_eq!((card.status, card.header(CONTENT_TYPE)), (StatusCode::OK, "image/png"), "{path}");
        let drawn = image::load_from_memory(&card.bytes).unwrap();
        assert_eq!((drawn.width(), drawn.height()), (1200, 630), "{path}");
        assert!(card.bytes.len() < 300 * 1024, "{path}: {} bytes", card.bytes.len());
        let tag = card.header(ETAG).to_owned();
        assert_eq!(
            this.get_with(path, &[("If-None-Match", &tag)]).await.status,
            StatusCode::NOT_MODIFIED,
            "{path}"
        );
        this.store(&[kill_of(page)]).await;
        assert_eq!(
            this.get_with(path, &[("If-None-Match", &tag)]).await.status,
            StatusCode::OK,
            "{path} changes with what it shows"
        );
    }
    let front = this.get("/").await.text;
    assert!(picture_of(&front).is_some_and(|path| path.starts_with("/static/")), "{front}");
    for (path, status) in [
        ("/players/nobody-at-all/card.png", 404),
        ("/matches/none/card.png", 404),
        ("/players/1/card.png?width=9", 422),
    ] {
        assert_eq!(this.get(path).await.status.as_u16(), status, "{path}");
    }
}

#[actix_web::test]
async fn a_tournament_has_another_picture_in_each_part_of_its_life() {
    let service = Service::start_with("cup_card", &[("PUBLIC_URL", PUBLIC_URL)], Default::default()).await;
    let (_, organizer) = service.add_user("Maker", Role::Organizer).await;
    let settings =
        json!({"name": "Cup", "format": "single_elimination", "start_time": "2030-01-02T20:00:00Z"});
    let cup = Cup::draft(&service.client, &organizer, settings).await;
    let page = format!("/tournaments/{}", cup.id);
    let card = format!("{page}/card.png");
    cup.moves_to("registration_open").await;
    for name in ["^1First", "Second"] {
        cup.enters(name).await;
    }
    let mut tags = Vec::new();
    let mut look = async || {
        let shown = service.client.get(&format!("{page}/bracket")).await.text;
        assert_eq!(picture_of(&shown), Some(card.as_str()), "{shown}");
        let picture = service.client.get(&card).await;
        assert_eq!((picture.status.as_u16(), picture.header("content-type")), (200, Some("image/png")));
        tags.push(picture.header("etag").unwrap().to_owned());
    };
    look().await;
    cup.moves_to("registration_closed").await;
    cup.moves_to("in_progress").await;
    look().await;
    cup.reports("R1.1", 0, 1).await;
    look().await;
    tags.dedup();
    assert_eq!(tags.len(), 3, "to come, under way and over look different: {tags:?}");
    service.stop().await;
}

#[actix_web::test]
async fn a_service_that_does_not_know_its_public_address_names_none() {
    let service = Service::start("no_card").await;
    let page = service.client.get("/tournaments").await.text;
    assert!(page.contains("og:title") && !page.contains("og:image") && !page.contains("og:url"), "{page}");
    service.stop().await;
}
