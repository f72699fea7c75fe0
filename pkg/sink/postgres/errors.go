package postgres

import (
	"crypto/tls"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5/pgconn"

	"kollect.io/kollect/pkg/sink"
)

// redactor takes what is secret out of errors, and says what would mend them.
type redactor struct{ sink.Redactor }

func newRedactor(secrets ...string) redactor { return redactor{sink.NewRedactor(secrets...)} }

// error returns err without secrets, and permanent if another try can't mend it.
func (r redactor) error(err error) error {
	if err == nil {
		return nil
	}
	mend, permanent := mendOf(err)
	message := err.Error()
	if server := (*pgconn.PgError)(nil); errors.As(err, &server) { // details may quote rows
		message = fmt.Sprintf("%s (SQLSTATE %s)", server.Message, server.Code)
	}
	if mend != "" {
		message += ": " + mend
	}
	if permanent {
		err = sink.Permanent(err)
	}
	return r.Hide(message, err)
}

// mends says what to do about what a server answers, by SQLSTATE or its class.
var mends = map[string]string{
	"28":    "correct the user, the password or the client certificate in the Secret, or the server's pg_hba.conf",
	"3D000": "create the database, or correct its name in the Secret's key dsn",
	"3F000": "create the schema, or correct spec.postgres.schema",
	"42501": "grant the user of the connection string what it needs on the schema, the tables and temporary tables",
	"22":    "a value does not fit its column",
	"23":    "another constraint than the primary key forbids a row: drop it from the table, or name another in spec.postgres.table",
	"54011": "the table has as many columns as PostgreSQL allows: promote fewer attributes, or name another in spec.postgres.table",
	"42":    "the table does not fit: compare it with the documented columns, or name another in spec.postgres.table",
}

// mendOf returns what would mend an error, if that is known, and whether another
// try can't.
func mendOf(err error) (mend string, permanent bool) {
	var untrusted *tls.CertificateVerificationError
	if errors.As(err, &untrusted) {
		return "correct ca.crt in the Secret, or the host or sslmode in its key dsn", true
	}
	var server *pgconn.PgError
	if !errors.As(err, &server) {
		return "", false
	}
	switch server.Code {
	case "25006":
		return "the server is a standby: name the primary in the Secret's key dsn, or all hosts with target_session_attrs=read-write", false
	case "55P03":
		return "another session holds a lock: the export is tried again", false
	case "57014":
		return "the server is slow, or another session holds a lock: the export is tried again; spec.postgres.statementTimeout is how long it may take", false
	}
	for _, code := range []string{server.Code, server.Code[:min(2, len(server.Code))]} {
		if mend := mends[code]; mend != "" {
			return mend, true
		}
	}
	return "", false
}

// changed reports whether an error says that tables are not as they were.
func changed(err error) bool {
	var server *pgconn.PgError
	if !errors.As(err, &server) {
		return false
	}
	switch server.Code {
	case "42P01", "42703", "42P10", "3F000", "42804", "22P02", "22003": // no table, column, key or schema, or another type
		return true
	}
	return false
}
