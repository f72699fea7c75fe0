package postgres

import (
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// settings are what a connection string says.
type settings struct {
	hosts              []host
	user, password     string
	database           string
	sslmode            string
	sslsni             bool
	targetSessionAttrs string
	applicationName    string
	options            string
	channelBinding     string
	connectTimeout     time.Duration
}

type host struct {
	name string
	port uint16
}

const (
	defaultPort           = 5432
	defaultConnectTimeout = 10 * time.Second
)

// parseDSN reads a connection string as libpq does, a URL or words of the form
// keyword=value, but for keywords that would take files, sockets or the
// environment of the server into use: those, and unknown ones, are errors. Its
// errors quote no values, since any may turn out to be a password.
func parseDSN(dsn string) (*settings, error) {
	dsn = strings.TrimSpace(dsn)
	if strings.IndexByte(dsn, 0) >= 0 {
		return nil, errors.New("has a NUL byte")
	}
	words, err := parseWords, error(nil)
	for _, scheme := range []string{"postgres://", "postgresql://"} {
		if rest, ok := strings.CutPrefix(dsn, scheme); ok {
			dsn, words = rest, parseURL
		}
	}
	values := map[string]string{}
	if err = words(dsn, values); err != nil {
		return nil, err
	}
	s := &settings{sslsni: true, applicationName: "kollect", channelBinding: "prefer", connectTimeout: defaultConnectTimeout}
	for keyword, value := range values {
		if err := s.set(keyword, value); err != nil {
			return nil, err
		}
	}
	if s.hosts, err = parseHosts(values["host"], values["port"]); err != nil {
		return nil, err
	}
	if s.user == "" {
		return nil, errors.New("names no user")
	}
	if s.database == "" {
		s.database = s.user
	}
	if s.targetSessionAttrs == "" && len(s.hosts) > 1 {
		s.targetSessionAttrs = "read-write"
	}
	return s, nil
}

func (s *settings) set(keyword, value string) error {
	switch keyword {
	case "host", "port":
	case "user":
		s.user = value
	case "password":
		s.password = value
	case "dbname":
		s.database = value
	case "sslmode":
		s.sslmode = value
	case "sslsni":
		s.sslsni = value != "0"
	case "target_session_attrs":
		s.targetSessionAttrs = value
	case "application_name":
		s.applicationName = value
	case "options":
		s.options = value
	case "channel_binding":
		if value != "disable" && value != "prefer" && value != "require" {
			return errors.New("has a channel_binding that is not disable, prefer or require")
		}
		s.channelBinding = value
	case "connect_timeout":
		seconds, err := strconv.Atoi(value)
		if err != nil || seconds < 1 || seconds > 300 {
			return errors.New("connect_timeout must be a number of seconds from 1 to 300")
		}
		s.connectTimeout = time.Duration(seconds) * time.Second
	case "sslrootcert", "sslcert", "sslkey":
		return fmt.Errorf("has %s, which names a file: put the PEM text into the Secret, as ca.crt, tls.crt and tls.key", keyword)
	default:
		if !isKeyword(keyword) { // it may be a part of a password
			return errors.New("has a keyword that is none")
		}
		return fmt.Errorf("has %s, which is not supported: remove it", keyword)
	}
	return nil
}

// isKeyword reports whether a word looks like one of libpq's keywords.
func isKeyword(word string) bool {
	for _, known := range []string{
		"passfile", "service", "servicefile", "hostaddr", "gssencmode", "krbsrvname", "krbspn", "sslpassword", "sslcrl", "sslcrldir",
		"sslcompression", "sslnegotiation", "require_auth", "requirepeer", "client_encoding", "fallback_application_name",
		"keepalives", "keepalives_idle", "keepalives_interval", "keepalives_count", "tcp_user_timeout", "load_balance_hosts", "replication",
		"search_path", "statement_timeout", "pool_max_conns", "pool_min_conns", "gsslib", "ssl", "sslcertmode",
		"ssl_min_protocol_version", "ssl_max_protocol_version", "min_protocol_version", "max_protocol_version",
	} {
		if word == known {
			return true
		}
	}
	return false
}

// parseHosts reads lists of hosts and ports, as libpq has them: as many ports as
// hosts, or one, or none.
func parseHosts(names, ports string) ([]host, error) {
	if names == "" {
		return nil, errors.New("names no host")
	}
	var hosts []host
	list := strings.Split(ports, ",")
	for i, name := range strings.Split(names, ",") {
		if name == "" || strings.HasPrefix(name, "/") || strings.HasPrefix(name, "@") {
			return nil, errors.New("has a host that is no name and no address: sockets are not supported")
		}
		port := list[min(i, len(list)-1)]
		if len(list) > 1 && i >= len(list) {
			return nil, errors.New("has fewer ports than hosts")
		}
		h := host{name, defaultPort}
		if port != "" {
			n, err := strconv.ParseUint(port, 10, 16)
			if err != nil || n == 0 {
				return nil, errors.New("has a port that is not a number from 1 to 65535")
			}
			h.port = uint16(n)
		}
		hosts = append(hosts, h)
	}
	return hosts, nil
}

// parseURL reads what follows the scheme.
func parseURL(rest string, into map[string]string) error {
	rest, query, _ := strings.Cut(rest, "?")
	authority, database, _ := strings.Cut(rest, "/")
	at := strings.LastIndexByte(authority, '@')
	var parts []string
	if at >= 0 {
		user, password, _ := strings.Cut(authority[:at], ":")
		parts = []string{"user", user, "password", password}
	}
	var names, ports []string
	for _, h := range strings.Split(authority[at+1:], ",") {
		name, port := h, ""
		if colon := strings.LastIndexByte(h, ':'); colon > strings.LastIndexByte(h, ']') {
			name, port = h[:colon], h[colon+1:]
		}
		names = append(names, strings.TrimSuffix(strings.TrimPrefix(name, "["), "]"))
		ports = append(ports, port)
	}
	parts = append(parts, "dbname", database, "host", strings.Join(names, ","), "port", strings.Join(ports, ","))
	for _, pair := range strings.Split(query, "&") {
		if pair != "" {
			keyword, value, _ := strings.Cut(pair, "=")
			parts = append(parts, keyword, value)
		}
	}
	for i := 0; i < len(parts); i += 2 {
		value, err := url.PathUnescape(parts[i+1]) // a plus is a plus
		if err != nil {
			return errors.New("is a URL with a '%' that is not followed by two hexadecimal digits: write %25 for a '%'")
		}
		if value != "" {
			into[canonical(parts[i])] = value
		}
	}
	return nil
}

var errWords = errors.New("is neither a URL postgres://user:password@host/database nor words of the form keyword=value")

// parseWords reads words of the form keyword=value, where a value may be quoted
// and a backslash takes the next character as it is.
func parseWords(s string, into map[string]string) error {
	const spaces = " \t\n\r\v\f"
	for s = strings.Trim(s, spaces); s != ""; s = strings.TrimLeft(s, spaces) {
		keyword, rest, ok := strings.Cut(s, "=")
		keyword = strings.Trim(keyword, spaces)
		if !ok || keyword == "" || strings.ContainsAny(keyword, spaces) {
			return errWords
		}
		s = strings.TrimLeft(rest, spaces)
		quoted := strings.HasPrefix(s, "'")
		if quoted {
			s = s[1:]
		}
		var value []byte
		i := 0
		for ; i < len(s); i++ {
			c := s[i]
			if quoted && c == '\'' || !quoted && strings.IndexByte(spaces, c) >= 0 {
				break
			}
			if c == '\\' {
				if i++; i == len(s) {
					break
				}
				c = s[i]
			}
			value = append(value, c)
		}
		if quoted {
			if i >= len(s) {
				return errors.New("has a quote that does not end")
			}
			i++
		}
		s = s[min(i, len(s)):]
		if len(value) > 0 {
			into[canonical(keyword)] = string(value)
		}
	}
	return nil
}

func canonical(keyword string) string {
	if keyword == "database" {
		return "dbname"
	}
	return keyword
}
