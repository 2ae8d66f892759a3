-- A database of a few megabytes with something of everything that a fault could
-- lose: a table in several parts, large rows, small tables, keys, sequences,
-- large objects.
CREATE SCHEMA app;
COMMENT ON SCHEMA app IS 'what must arrive';
CREATE TYPE app.mood AS ENUM ('sad', 'ok', 'happy');
CREATE DOMAIN app.positive AS int CHECK (VALUE > 0);
CREATE FUNCTION app.touch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$;

CREATE TABLE app.big (id int PRIMARY KEY, a text NOT NULL, b text, m app.mood);
INSERT INTO app.big SELECT i, md5(i::text), repeat(md5((i * 7)::text), 4), (ARRAY['sad', 'ok', 'happy']::app.mood[])[1 + i % 3] FROM generate_series(1, 24000) i;
CREATE INDEX big_a ON app.big (a);
CREATE INDEX big_m ON app.big (m, id DESC) WHERE m <> 'ok';

CREATE TABLE app.documents (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, body text, words int GENERATED ALWAYS AS (length(body)) STORED);
ALTER TABLE app.documents ALTER body SET STORAGE EXTERNAL;
INSERT INTO app.documents (body) SELECT (SELECT string_agg(md5((d * 10000 + i)::text), ' ') FROM generate_series(1, 3000) i) FROM generate_series(1, 12) d;

CREATE TABLE app.customers (id serial PRIMARY KEY, name text UNIQUE, n app.positive);
INSERT INTO app.customers (name, n) SELECT 'c' || i, i FROM generate_series(1, 500) i;
CREATE TABLE app.orders (id bigserial PRIMARY KEY, customer int NOT NULL REFERENCES app.customers, parent bigint REFERENCES app.orders);
INSERT INTO app.orders (customer, parent) SELECT 1 + i % 500, nullif(i / 2, 0) FROM generate_series(1, 2000) i;
CREATE TRIGGER touch BEFORE UPDATE ON app.orders FOR EACH ROW EXECUTE FUNCTION app.touch();
CREATE TABLE app.events (at date NOT NULL, what text, customer int REFERENCES app.customers) PARTITION BY RANGE (at);
CREATE TABLE app.events_2024 PARTITION OF app.events FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
CREATE TABLE app.events_2025 PARTITION OF app.events FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
CREATE INDEX events_at ON app.events (at);
INSERT INTO app.events SELECT date '2024-01-01' + i % 730, 'event ' || i, 1 + i % 500 FROM generate_series(1, 3000) i;
CREATE TABLE app.empty (id int PRIMARY KEY, t timestamptz DEFAULT now());
COMMENT ON TABLE app.empty IS 'still empty';

DO $$ BEGIN FOR i IN 1..25 LOOP
  EXECUTE format('CREATE TABLE app.small_%s (id int PRIMARY KEY, v text)', i);
  EXECUTE format('INSERT INTO app.small_%s SELECT j, repeat(chr(65 + %s), j) FROM generate_series(1, %s) j', i, i, i * 3);
END LOOP; END $$;

CREATE VIEW app.totals AS SELECT c.name, count(*) AS orders FROM app.customers c JOIN app.orders o ON o.customer = c.id GROUP BY c.name;
CREATE MATERIALIZED VIEW app.summary AS SELECT m, count(*) FROM app.big GROUP BY m;
CREATE UNIQUE INDEX summary_m ON app.summary (m);
GRANT SELECT ON app.totals TO PUBLIC;
-- What setval has set survives a crash as it is; nextval runs ahead.
SELECT setval('app.customers_id_seq', 777), setval('app.orders_id_seq', 9999), setval('app.documents_id_seq', 12);
SELECT lo_from_bytea(50000 + i, decode(repeat(md5(i::text), 500 * i), 'hex')) FROM generate_series(1, 10) i;
SELECT lo_from_bytea(60000, decode(repeat('00ff10', 800000), 'hex'));
