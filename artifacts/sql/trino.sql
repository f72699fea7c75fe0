-- What Kollect exports as Parquet, as tables of Trino's Hive connector. Put your own
-- catalog and schema for hive.kollect, and bucket and prefix for s3://lake/prod/.
--
-- Columns are those of the files, by name (hive.parquet.use-column-names, the default).
-- Those of promoted attributes come last; the two here are examples. Name yours, as
-- attr_<name>:
--
--   type in the profile   in Trino
--   string                varchar
--   integer               bigint
--   number                double
--   boolean               boolean
--
-- A column that a file does not have is null. A file that has it with another type fails
-- the query: leave out what inventories declare differently, or what was declared
-- differently in a generation that you read, and take it from attributes instead:
--
--   json_extract_scalar(attributes, '$.replicas')
--
-- ALTER TABLE hive.kollect.inventory_history ADD COLUMN attr_team varchar adds one later.
--
-- Times are UTC. A cluster inventory has an empty inventory_namespace, and ns = '_cluster'.

-- What is current: Trino reads tables of Hive's SymlinkTextInputFormat, but makes none.
-- Make inventory_current in the metastore: the statement of athena.sql in Athena, where
-- the metastore is Glue, or in Hive, there with the URLs that it reads the bucket by. Then
-- have the clusters' partitions found, again when a cluster was added:
CALL hive.system.sync_partition_metadata('kollect', 'inventory_current', 'ADD');

-- All generations that retention kept. Where one lies is computed, so that no partition
-- has to be added; therefore a query has to name the cluster, the namespace and the
-- inventory that it wants:
--
--   SELECT resource_name, attr_image FROM hive.kollect.inventory_history
--   WHERE cluster = 'demo' AND ns = 'team-a' AND name = 'apps' AND generation = 42;
--
-- As of a time:
--
--   ... AND generation = (SELECT max(generation) FROM hive.kollect.inventory_history
--     WHERE cluster = 'demo' AND ns = 'team-a' AND name = 'apps' AND exported_at <= timestamp '2026-11-22 12:00:00')
--
-- A generation without rows does not tell when it was exported: its manifest does.
CREATE TABLE hive.kollect.inventory_history (
  inventory_namespace varchar,
  inventory_name varchar,
  generation bigint,
  exported_at timestamp(3),
  row_key varchar,
  target_namespace varchar,
  target_name varchar,
  api_group varchar,
  api_version varchar,
  resource varchar,
  kind varchar,
  resource_namespace varchar,
  resource_name varchar,
  uid varchar,
  created_at timestamp(3),
  labels varchar,
  attributes varchar,
  attr_image varchar,
  attr_replicas bigint,
  cluster varchar WITH (partition_projection_type = 'INJECTED'),
  ns varchar WITH (partition_projection_type = 'INJECTED'),
  name varchar WITH (partition_projection_type = 'INJECTED')
)
WITH (
  format = 'PARQUET',
  external_location = 's3://lake/prod/inventory/',
  partitioned_by = ARRAY['cluster', 'ns', 'name'],
  partition_projection_enabled = true,
  partition_projection_location_template = 's3://lake/prod/inventory/cluster=${cluster}/ns=${ns}/name=${name}/'
);
