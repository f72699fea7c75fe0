-- What Kollect exports as Parquet, as tables of Amazon Athena (engine version 3). Run one
-- statement at a time, with your own bucket and prefix for s3://lake/prod/.
--
-- Columns are those of the files, by name. Those of promoted attributes come last; the
-- two here are examples. Name yours, as attr_<name>:
--
--   type in the profile   in Athena
--   string                string
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
-- ALTER TABLE inventory_current ADD COLUMNS (attr_team string) adds one later.
--
-- Times are UTC. A cluster inventory has an empty inventory_namespace, and ns = '_cluster'.

-- What is current. A partition is a cluster; its folder has a file, files.txt, that names
-- the Parquet objects and is replaced with each export. Objects in it stay for an hour
-- after others took their place.
CREATE EXTERNAL TABLE inventory_current (
  inventory_namespace string,
  inventory_name string,
  generation bigint,
  exported_at timestamp,
  row_key string,
  target_namespace string,
  target_name string,
  api_group string,
  api_version string,
  resource string,
  kind string,
  resource_namespace string,
  resource_name string,
  uid string,
  created_at timestamp,
  labels string,
  attributes string,
  attr_image string,
  attr_replicas bigint
)
PARTITIONED BY (cluster string)
ROW FORMAT SERDE 'org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe'
STORED AS INPUTFORMAT 'org.apache.hadoop.hive.ql.io.SymlinkTextInputFormat'
OUTPUTFORMAT 'org.apache.hadoop.hive.ql.io.HiveIgnoreKeyTextOutputFormat'
LOCATION 's3://lake/prod/current/';

-- Again when a cluster was added: a cluster that is no partition is not read.
MSCK REPAIR TABLE inventory_current;

-- All generations that retention kept. Where one lies is computed, so that no partition
-- has to be added; therefore a query has to name the cluster, the namespace and the
-- inventory that it wants, with = or IN:
--
--   SELECT resource_name, attr_image FROM inventory_history
--   WHERE cluster = 'demo' AND ns = 'team-a' AND name = 'apps' AND generation = 42;
--
-- As of a time:
--
--   ... AND generation = (SELECT max(generation) FROM inventory_history
--     WHERE cluster = 'demo' AND ns = 'team-a' AND name = 'apps' AND exported_at <= timestamp '2026-11-22 12:00:00')
--
-- A generation without rows does not tell when it was exported: its manifest does.
CREATE EXTERNAL TABLE inventory_history (
  inventory_namespace string,
  inventory_name string,
  generation bigint,
  exported_at timestamp,
  row_key string,
  target_namespace string,
  target_name string,
  api_group string,
  api_version string,
  resource string,
  kind string,
  resource_namespace string,
  resource_name string,
  uid string,
  created_at timestamp,
  labels string,
  attributes string,
  attr_image string,
  attr_replicas bigint
)
PARTITIONED BY (cluster string, ns string, name string)
ROW FORMAT SERDE 'org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe'
STORED AS INPUTFORMAT 'org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat'
OUTPUTFORMAT 'org.apache.hadoop.hive.ql.io.parquet.MapredParquetOutputFormat'
LOCATION 's3://lake/prod/inventory/'
TBLPROPERTIES (
  'projection.enabled' = 'true',
  'projection.cluster.type' = 'injected',
  'projection.ns.type' = 'injected',
  'projection.name.type' = 'injected',
  'storage.location.template' = 's3://lake/prod/inventory/cluster=${cluster}/ns=${ns}/name=${name}/'
);
