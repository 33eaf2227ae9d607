-- Pictures of maps from above, which heatmaps are drawn on. Admins upload them; what is kept are pixels, encoded anew by us.
CREATE TABLE map_overviews (
    map_name text PRIMARY KEY,
    -- A PNG of ours, whatever was uploaded.
    image bytea NOT NULL,
    content_type text NOT NULL CHECK (content_type = 'image/png'),
    -- SHA-256 of the image in hexadecimal: by it caches tell pictures apart without reading them.
    image_hash text NOT NULL CHECK (image_hash ~ '^[0-9a-f]{64}$'),
    width integer NOT NULL CHECK (width BETWEEN 64 AND 4096),
    height integer NOT NULL CHECK (height BETWEEN 64 AND 4096),
    -- The part of the world that it shows, in map units: x grows to the right, y upwards.
    min_x integer NOT NULL,
    min_y integer NOT NULL,
    max_x integer NOT NULL,
    max_y integer NOT NULL,
    uploaded_by integer REFERENCES users (id) ON DELETE SET NULL,
    uploaded_at timestamptz NOT NULL DEFAULT now(),
    CHECK (min_x < max_x AND min_y < max_y)
);
-- A PNG does not get smaller by compressing it once more.
ALTER TABLE map_overviews ALTER COLUMN image SET STORAGE EXTERNAL;
