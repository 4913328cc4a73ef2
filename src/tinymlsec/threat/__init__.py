"""From facts and evidence to judgement: device taxonomy, threat catalog, scoring, priority."""
