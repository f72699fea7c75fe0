package kafka

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kmsg"

	kollectv1alpha1 "kollect.io/kollect/pkg/apis/kollect/v1alpha1"
	"kollect.io/kollect/pkg/sink"
	"kollect.io/kollect/pkg/sink/sinktest"
	service "kollect.io/kollect/test/services/kafka"
)

// createTopic makes a topic as an operator does.
func createTopic(t *testing.T, topic string, partitions int32, configs map[string]string) {
	t.Helper()
	values := map[string]*string{}
	for name, value := range configs {
		values[name] = &value
	}
	if _, err := admin.CreateTopic(t.Context(), partitions, 1, values, topic); err != nil {
		t.Fatalf("create topic: %v", err)
	}
}

// mustRefuse checks that an error is permanent and says what to mend.
func mustRefuse(t *testing.T, err error, words ...string) {
	t.Helper()
	if err == nil || !sink.IsPermanent(err) {
		t.Fatalf("error is %v (permanent: %t)", err, sink.IsPermanent(err))
	}
	for _, word := range words {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("error %q does not say %q", err, word)
		}
	}
	if strings.Contains(err.Error(), "s3cret") {
		t.Errorf("error %q tells a secret", err)
	}
}

func TestTopicsThatDoNotFit(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		configs map[string]string
		says    []string // empty: it fits
	}{
		"deletes":                  {map[string]string{"cleanup.policy": "delete"}, []string{"cleanup.policy is delete", "set it to compact"}},
		"deletes what is old":      {map[string]string{"cleanup.policy": "compact,delete"}, []string{"cleanup.policy", "retention.ms 604800000"}},
		"deletes what is too much": {map[string]string{"cleanup.policy": "delete,compact", "retention.ms": "-1", "retention.bytes": "1000000"}, []string{"retention.bytes 1000000"}},
		"deletes nothing":          {map[string]string{"cleanup.policy": "compact,delete", "retention.ms": "-1"}, nil},
		"compacts":                 {map[string]string{"cleanup.policy": "compact"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDestination(t)
			createTopic(t, d.spec.Topic, 1, c.configs)
			e, err := Open(t.Context(), d.spec, nil, Options{})
			if c.says != nil {
				mustRefuse(t, err, append(c.says, "spec.kafka.topic", d.spec.Topic)...)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			e.Close()
		})
	}
}

func TestNothingIsMadeThatMustExist(t *testing.T) {
	t.Parallel()
	d := newDestination(t)
	if _, err := Open(t.Context(), d.spec, nil, Options{MustExist: true}); !errors.Is(err, sink.ErrAbsent) {
		t.Fatalf("error is %v", err)
	}
	if there, err := admin.ListTopics(t.Context(), d.spec.Topic); err != nil || there.Has(d.spec.Topic) {
		t.Fatalf("the topic is there: %v", err)
	}
	d.open(t).Close()
	e, err := Open(t.Context(), d.spec, nil, Options{MustExist: true})
	if err != nil {
		t.Fatal(err)
	}
	e.Close()
}

func TestTopicIsCreatedCompacted(t *testing.T) {
	t.Parallel()
	d := newDestination(t)
	d.open(t).Close()
	configs, err := admin.DescribeTopicConfigs(t.Context(), d.spec.Topic)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	for _, c := range configs[0].Configs {
		found[c.Key] = c.MaybeValue()
	}
	if found["cleanup.policy"] != "compact" || found["delete.retention.ms"] != "604800000" {
		t.Errorf("the topic is configured as %v", found)
	}
}

func TestSpecsThatAreWrong(t *testing.T) {
	t.Parallel()
	type secret = map[string][]byte
	login := secret{"username": []byte("kollect"), "password": []byte("s3cret-x")}
	for name, c := range map[string]struct {
		spec   kollectv1alpha1.KafkaSink
		secret secret
		says   []string
	}{
		"no brokers":             {kollectv1alpha1.KafkaSink{Topic: "x"}, nil, []string{"spec.kafka.brokers"}},
		"a broker without port":  {kollectv1alpha1.KafkaSink{Topic: "x", Brokers: []string{"kafka"}}, nil, []string{"spec.kafka.brokers", "host:port"}},
		"a port that is none":    {kollectv1alpha1.KafkaSink{Topic: "x", Brokers: []string{"kafka:99999"}}, nil, []string{"spec.kafka.brokers", "host:port"}},
		"no topic":               {kollectv1alpha1.KafkaSink{Brokers: []string{"kafka:9092"}}, nil, []string{"spec.kafka.topic"}},
		"no mechanism":           {kollectv1alpha1.KafkaSink{Topic: "x", Brokers: []string{"kafka:9092"}}, login, []string{"spec.kafka.saslMechanism", "SCRAM-SHA-512"}},
		"an unknown mechanism":   {kollectv1alpha1.KafkaSink{Topic: "x", Brokers: []string{"kafka:9092"}, SASLMechanism: "GSSAPI"}, login, []string{"spec.kafka.saslMechanism", "GSSAPI"}},
		"no password":            {kollectv1alpha1.KafkaSink{Topic: "x", Brokers: []string{"kafka:9092"}, SASLMechanism: "PLAIN"}, secret{"username": []byte("x")}, []string{"spec.secretRef", "password"}},
		"no token":               {kollectv1alpha1.KafkaSink{Topic: "x", Brokers: []string{"kafka:9092"}, SASLMechanism: "OAUTHBEARER"}, nil, []string{"spec.secretRef", "token"}},
		"nothing in the Secret":  {kollectv1alpha1.KafkaSink{Topic: "x", Brokers: []string{"kafka:9092"}}, secret{}, []string{"spec.secretRef", "username"}},
		"no certificate":         {kollectv1alpha1.KafkaSink{Topic: "x", Brokers: []string{"kafka:9092"}}, secret{"ca.crt": []byte("x")}, []string{"spec.secretRef", "ca.crt", "PEM"}},
		"a certificate, no key":  {kollectv1alpha1.KafkaSink{Topic: "x", Brokers: []string{"kafka:9092"}}, secret{"tls.crt": []byte("x")}, []string{"spec.secretRef", "tls.key", "PEM"}},
		"a topic's name is none": {kollectv1alpha1.KafkaSink{Topic: "a b", Brokers: []string{server.Address()}}, nil, []string{"topic"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := Open(t.Context(), c.spec, c.secret, Options{})
			mustRefuse(t, err, c.says...)
		})
	}
}

func TestBrokersOutOfReach(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := listener.Addr().String()
	listener.Close()
	spec := kollectv1alpha1.KafkaSink{Brokers: []string{nobody}, Topic: "x"}
	_, err = Open(t.Context(), spec, nil, Options{RetryWait: time.Millisecond})
	if err == nil || sink.IsPermanent(err) || !strings.Contains(err.Error(), nobody) {
		t.Errorf("error is %v", err)
	}
	denied := func(context.Context, string, string) (net.Conn, error) {
		return nil, sink.Permanent(errors.New("sinks may not connect there"))
	}
	_, err = Open(t.Context(), spec, nil, Options{Dial: denied, RetryWait: time.Millisecond})
	mustRefuse(t, err, "sinks may not connect there")
}

// allow gives a user what the documentation says that it takes.
func allow(t *testing.T, user, topic string, operations ...kadm.ACLOperation) {
	t.Helper()
	for _, builder := range []*kadm.ACLBuilder{
		kadm.NewACLs().Topics(topic).Operations(operations...).ResourcePatternType(kadm.ACLPatternLiteral).Allow("User:" + user),
		kadm.NewACLs().TransactionalIDs("kollect-"+topic+"/").Operations(kmsg.ACLOperationDescribe, kmsg.ACLOperationWrite).ResourcePatternType(kadm.ACLPatternPrefixed).Allow("User:" + user),
	} {
		results, err := admin.CreateACLs(t.Context(), builder.AllowHosts("*"))
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range results {
			if r.Err != nil {
				t.Fatal(r.Err)
			}
		}
	}
}

var allOperations = []kadm.ACLOperation{
	kmsg.ACLOperationCreate, kmsg.ACLOperationDescribe, kmsg.ACLOperationDescribeConfigs, kmsg.ACLOperationRead, kmsg.ACLOperationWrite,
}

// createUsers makes users of SCRAM, who have a password each.
func createUsers(t *testing.T, mechanism kadm.ScramMechanism, passwords map[string]string) {
	t.Helper()
	var upserts []kadm.UpsertSCRAM
	for user, password := range passwords {
		upserts = append(upserts, kadm.UpsertSCRAM{User: user, Mechanism: mechanism, Iterations: 4096, Password: password})
	}
	if _, err := admin.AlterUserSCRAMs(t.Context(), nil, upserts); err != nil {
		t.Fatal(err)
	}
}

// token is one that a broker takes that does not look at signatures.
func token(subject string) []byte {
	encode := base64.RawURLEncoding.EncodeToString
	claims := fmt.Sprintf(`{"sub":%q,"iat":%d,"exp":%d}`, subject, time.Now().Unix(), time.Now().Add(time.Hour).Unix())
	return []byte(encode([]byte(`{"alg":"none"}`)) + "." + encode([]byte(claims)) + ".")
}

func TestCredentials(t *testing.T) {
	t.Parallel()
	createUsers(t, kadm.ScramSha256, map[string]string{"scram-256": "s3cret-256"})
	createUsers(t, kadm.ScramSha512, map[string]string{"scram-512": "s3cret-512"})
	type secret = map[string][]byte
	login := func(user, password string) secret {
		return secret{"username": []byte(user), "password": []byte(password + "\n")}
	}
	for mechanism, c := range map[string]struct {
		user         string
		right, wrong secret
	}{
		"PLAIN":         {service.PlainUser, login(service.PlainUser, service.PlainPassword), login(service.PlainUser, "s3cret-wrong")},
		"SCRAM-SHA-256": {"scram-256", login("scram-256", "s3cret-256"), login("scram-256", "s3cret-wrong")},
		"SCRAM-SHA-512": {"scram-512", login("scram-512", "s3cret-512"), login("scram-256", "s3cret-256")},
		"OAUTHBEARER":   {"bearer", secret{"token": token("bearer")}, secret{"token": []byte("s3cret-wrong")}},
	} {
		t.Run(mechanism, func(t *testing.T) {
			t.Parallel()
			d := newDestination(t)
			allow(t, c.user, d.spec.Topic, allOperations...)
			d.spec.SASLMechanism, d.spec.Brokers = mechanism, []string{server.SASLAddress()}
			d.secret = c.right
			e := d.open(t)
			defer e.Close()
			mustExport(t, e, sinktest.NewSample(ref).Snapshot(), 1)
			_, err := Open(t.Context(), d.spec, c.wrong, Options{RetryWait: time.Millisecond})
			mustRefuse(t, err, "Secret")
			d.spec.SASLMechanism = ""
			_, err = Open(t.Context(), d.spec, nil, Options{RetryWait: time.Millisecond})
			mustRefuse(t, err, "spec.kafka.saslMechanism")
		})
	}
}

func TestTLS(t *testing.T) {
	t.Parallel()
	certificate, key, err := server.ClientCertificate("certified")
	if err != nil {
		t.Fatal(err)
	}
	spec := kollectv1alpha1.KafkaSink{Brokers: []string{server.TLSAddress()}, Topic: newTopic()}
	secret := map[string][]byte{"ca.crt": server.CA(), "tls.crt": certificate, "tls.key": key}
	_, err = Open(t.Context(), spec, secret, Options{})
	mustRefuse(t, err, "allow Describe")
	allow(t, "CN=certified", spec.Topic, allOperations...)
	e, err := Open(t.Context(), spec, secret, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	mustExport(t, e, sinktest.NewSample(ref).Snapshot(), 1)

	spec.TLS = true
	_, err = Open(t.Context(), spec, nil, Options{RetryWait: time.Millisecond})
	if err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("not trusted: %v", err)
	}
	spec.Brokers = []string{server.Address()}
	_, err = Open(t.Context(), spec, nil, Options{RetryWait: time.Millisecond, Timeout: 2 * time.Second})
	if err == nil || !strings.Contains(err.Error(), "TLS") {
		t.Errorf("a broker without TLS: %v", err)
	}
	spec.TLS, spec.Brokers = false, []string{server.TLSAddress()}
	_, err = Open(t.Context(), spec, nil, Options{RetryWait: time.Millisecond, Timeout: 2 * time.Second})
	if err == nil || !strings.Contains(err.Error(), "TLS") {
		t.Errorf("a broker with TLS: %v", err)
	}
}

func TestRights(t *testing.T) {
	t.Parallel()
	users := map[string]string{}
	without := map[string]kadm.ACLOperation{
		"no-create": kmsg.ACLOperationCreate, "no-configs": kmsg.ACLOperationDescribeConfigs,
		"no-read": kmsg.ACLOperationRead, "no-write": kmsg.ACLOperationWrite,
	}
	for user := range without {
		users[user] = "s3cret-of-" + user
	}
	users["no-transactions"] = "s3cret-of-no-transactions"
	createUsers(t, kadm.ScramSha512, users)
	for user, password := range users {
		t.Run(user, func(t *testing.T) {
			t.Parallel()
			d := newDestination(t)
			if user != "no-create" {
				createTopic(t, d.spec.Topic, 1, map[string]string{"cleanup.policy": "compact"})
			}
			operations := slices.DeleteFunc(slices.Clone(allOperations), func(o kadm.ACLOperation) bool { return o == without[user] })
			allow(t, user, d.spec.Topic, operations...)
			says := "on topic " + d.spec.Topic
			if user == "no-transactions" {
				if _, err := admin.DeleteACLs(t.Context(), kadm.NewACLs().TransactionalIDs("kollect-"+d.spec.Topic+"/").Operations(kmsg.ACLOperationDescribe, kmsg.ACLOperationWrite).
					ResourcePatternType(kadm.ACLPatternPrefixed).Allow("User:"+user).AllowHosts("*")); err != nil {
					t.Fatal(err)
				}
				says = "transactional IDs that begin with kollect-" + d.spec.Topic + "/"
			}
			d.spec.SASLMechanism, d.spec.Brokers = "SCRAM-SHA-512", []string{server.SASLAddress()}
			e, err := Open(t.Context(), d.spec, map[string][]byte{"username": []byte(user), "password": []byte(password)}, Options{RetryWait: time.Millisecond})
			if err == nil {
				defer e.Close()
				for generation := range int64(2) { // the first finds nothing to read
					if err = tryExport(t.Context(), e, sinktest.NewSample(ref).Snapshot(), 1+generation); err != nil {
						break
					}
				}
			}
			mustRefuse(t, err, "allow ", says)
		})
	}
}

func TestRowTooLargeForARecord(t *testing.T) {
	t.Parallel()
	for _, oversized := range []kollectv1alpha1.OversizedRows{kollectv1alpha1.OversizedReject, kollectv1alpha1.OversizedReference} {
		t.Run(string(oversized), func(t *testing.T) {
			t.Parallel()
			d := newDestination(t)
			d.spec.OversizedRows = oversized
			createTopic(t, d.spec.Topic, 1, map[string]string{"cleanup.policy": "compact", "max.message.bytes": "65536"})
			e := d.open(t)
			defer e.Close()
			sample := sinktest.NewSample(ref)
			sample.Set("web", "nginx:1.27")
			sample.SetAttributes("large", `{"image":"`+strings.Repeat("x", 64_000)+`"}`) // just fits
			mustExport(t, e, sample.Snapshot(), 1)
			mustRead(t, d, sample.Snapshot(), 1)
			held := sample.Snapshot()
			sample.SetAttributes("large", `{"image":"`+strings.Repeat("x", 65_000)+`"}`)
			err := tryExport(t.Context(), e, sample.Snapshot(), 2)
			if oversized == kollectv1alpha1.OversizedReference {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			mustRefuse(t, err, "Deployment team-a/large", "team-a/web", "max.message.bytes", "profile", "spec.kafka.oversizedRows")
			mustRead(t, d, held, 1)
			for entry := range sample.Snapshot().All() {
				if err := e.Refuses(held.Inventory(), entry.Key, entry.Row); (err != nil) != (entry.Row.Name() == "large") {
					t.Errorf("refuses %s: %v", entry.Row.Name(), err)
				}
			}
		})
	}
}
