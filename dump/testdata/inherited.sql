-- Constraints that children have from a parent, which an entry of the parent's
-- reaches: they have no entry of their own.
CREATE TABLE parent (a int, b int); CREATE TABLE child () INHERITS (parent); CREATE TABLE grandchild (c int) INHERITS (child);
ALTER TABLE parent ADD CONSTRAINT later CHECK (a > 0) NOT VALID; ALTER TABLE child ADD CONSTRAINT own CHECK (b > 0) NOT VALID;
COMMENT ON CONSTRAINT later ON parent IS 'p';
CREATE TABLE split (k int, v int) PARTITION BY LIST (k); CREATE TABLE split_1 PARTITION OF split FOR VALUES IN (1);
ALTER TABLE split ADD CONSTRAINT later CHECK (v > 0) NOT VALID;
ALTER TABLE child ALTER a SET DEFAULT 7; ALTER TABLE grandchild ALTER a DROP DEFAULT;
-- A large object may have an OID that initdb could have given out.
SELECT lo_from_bytea(2121, 'low'); COMMENT ON LARGE OBJECT 2121 IS 'low';
--@since 18
ALTER TABLE grandchild ALTER b SET NOT NULL;
ALTER TABLE parent ADD CONSTRAINT a_nn NOT NULL a NOT VALID; COMMENT ON CONSTRAINT a_nn ON parent IS 'p';
ALTER TABLE split ADD CONSTRAINT v_nn NOT NULL v NOT VALID; ALTER TABLE split ADD CONSTRAINT ne CHECK (k < 9) NOT ENFORCED;
