"""Back ends that ask another engine: one page above VictoriaLogs, Elasticsearch and OpenSearch."""
