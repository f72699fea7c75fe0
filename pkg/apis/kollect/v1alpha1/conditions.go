package v1alpha1

// Condition types of the configuration kinds.
const (
	// ConditionReady says that the object is valid and in effect. Its message
	// names the field that is not and how to mend it.
	ConditionReady = "Ready"
	// ConditionExtracted, on profiles and targets, is False while a required
	// attribute cannot be extracted from some object.
	ConditionExtracted = "Extracted"
	// ConditionSecretValues, on profiles of Secrets that allow it and no others, is
	// True: what the expressions take from Secrets is in rows.
	ConditionSecretValues = "SecretValues"
	// ConditionSynced, on targets and inventories, says that the first list is
	// complete, so that the rows are all rows.
	ConditionSynced = "Synced"
	// ConditionStale, on targets and inventories, is True while the source
	// can't be watched: the last rows are kept and shown.
	ConditionStale = "Stale"
	// ConditionExported, on inventories, says that every sink holds the newest
	// content it has been offered.
	ConditionExported = "Exported"
)
