CREATE SCHEMA "C S";
CREATE COLLATION "C S"."Coll" FROM "C"; CREATE COLLATION public."Coll" (LC_COLLATE = 'C', LC_CTYPE = 'POSIX');
CREATE COLLATION plain (LOCALE = 'POSIX');
COMMENT ON COLLATION plain IS 'collation';
CREATE TABLE c1 (a text COLLATE plain, b text COLLATE "C S"."Coll"); CREATE DOMAIN cd AS text COLLATE public."Coll"; CREATE INDEX c1_i ON c1 (b COLLATE plain);
CREATE CONVERSION myconv FOR 'LATIN1' TO 'UTF8' FROM iso8859_1_to_utf8; CREATE DEFAULT CONVERSION "C S"."Conv" FOR 'LATIN1' TO 'UTF8' FROM iso8859_1_to_utf8;
COMMENT ON CONVERSION myconv IS 'conversion';
CREATE COLLATION icu (PROVIDER = icu, LOCALE = 'de-u-co-phonebk'); CREATE COLLATION icu_nd (PROVIDER = icu, LOCALE = 'und', DETERMINISTIC = false); --@since 12
CREATE TEXT SEARCH PARSER "C S"."Pars" (START = prsd_start, GETTOKEN = prsd_nexttoken, END = prsd_end, LEXTYPES = prsd_lextype);
CREATE TEXT SEARCH PARSER pars (START = prsd_start, GETTOKEN = prsd_nexttoken, END = prsd_end, HEADLINE = prsd_headline, LEXTYPES = prsd_lextype);
CREATE TEXT SEARCH TEMPLATE "C S"."Temp" (INIT = dsimple_init, LEXIZE = dsimple_lexize); CREATE TEXT SEARCH TEMPLATE temp (LEXIZE = dsimple_lexize);
CREATE TEXT SEARCH DICTIONARY "C S"."Dict" (TEMPLATE = "C S"."Temp"); CREATE TEXT SEARCH DICTIONARY dict (TEMPLATE = snowball, LANGUAGE = english, STOPWORDS = english);
CREATE TEXT SEARCH DICTIONARY simple_acc (TEMPLATE = simple, accept = false);
CREATE TEXT SEARCH CONFIGURATION "C S"."Conf" (PARSER = "C S"."Pars"); CREATE TEXT SEARCH CONFIGURATION conf (COPY = english);
CREATE TEXT SEARCH CONFIGURATION bare (PARSER = default);
ALTER TEXT SEARCH CONFIGURATION "C S"."Conf" ADD MAPPING FOR asciiword, word WITH "C S"."Dict", dict, simple; ALTER TEXT SEARCH CONFIGURATION conf ALTER MAPPING FOR hword_asciipart WITH simple_acc, english_stem;
COMMENT ON TEXT SEARCH PARSER pars IS 'p'; COMMENT ON TEXT SEARCH TEMPLATE temp IS 't'; COMMENT ON TEXT SEARCH DICTIONARY "C S"."Dict" IS 'd'; COMMENT ON TEXT SEARCH CONFIGURATION "C S"."Conf" IS 'c';
CREATE TABLE doc (b text, v tsvector GENERATED ALWAYS AS (to_tsvector('"C S"."Conf"', b)) STORED); CREATE INDEX doc_i ON doc USING gin (to_tsvector('conf', b)); --@since 12
--@since 16
CREATE COLLATION icu_rules (PROVIDER = icu, LOCALE = 'und', RULES = '&V << w <<< W');
--@since 17
CREATE COLLATION built (PROVIDER = builtin, LOCALE = 'C.UTF-8');
--@since 18
CREATE COLLATION fast (PROVIDER = builtin, LOCALE = 'PG_UNICODE_FAST');
