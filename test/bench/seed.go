package bench

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer/protobuf"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/scheme"
)

// Labels and attributes of the seeded objects.
const (
	labelsPerObject     = 5
	attributesPerObject = 5
	objectsPerNamespace = 1000
	writesPerTxn        = 100 // etcd allows 128
)

// Seed writes n ConfigMaps, 1,000 a namespace, straight into etcd in
// kube-apiserver's storage encoding. Run it before kube-apiserver starts. It
// prints a line of progress every few seconds.
func Seed(ctx context.Context, endpoint string, n int, log io.Writer) error {
	return seed(ctx, endpoint, n, log, func(i int, put func(key string, value []byte) error) error {
		if i%objectsPerNamespace == 0 {
			value, err := encoded(namespace(i))
			if err != nil {
				return err
			}
			if err := put("/registry/namespaces/"+namespaceName(i), value); err != nil {
				return err
			}
		}
		key, value, err := storedConfigMap(configMap(i))
		if err != nil {
			return err
		}
		return put(key, value)
	})
}

// storedConfigMap returns how etcd has a ConfigMap.
func storedConfigMap(cm *corev1.ConfigMap) (key string, value []byte, err error) {
	value, err = encoded(cm)
	return "/registry/configmaps/" + cm.Namespace + "/" + cm.Name, value, err
}

// encoded returns kube-apiserver's storage encoding of a core object.
func encoded(obj runtime.Object) ([]byte, error) {
	encoder := scheme.Codecs.EncoderForVersion(protobuf.NewSerializer(scheme.Scheme, scheme.Scheme), corev1.SchemeGroupVersion)
	var out bytes.Buffer
	if err := encoder.Encode(obj, &out); err != nil {
		return nil, fmt.Errorf("encode %T: %w", obj, err)
	}
	return out.Bytes(), nil
}

// seed has write put what belongs to each of n objects into etcd.
func seed(ctx context.Context, endpoint string, n int, log io.Writer, write func(i int, put func(key string, value []byte) error) error) error {
	client, err := connect(endpoint)
	if err != nil {
		return err
	}
	defer client.Close()
	var puts []clientv3.Op
	flush := func() error {
		_, err := client.Txn(ctx).Then(puts...).Commit()
		puts = puts[:0]
		return err
	}
	put := func(key string, value []byte) error {
		puts = append(puts, clientv3.OpPut(key, string(value)))
		if len(puts) < writesPerTxn {
			return nil
		}
		return flush()
	}
	said := time.Now()
	for i := range n {
		if err := write(i, put); err != nil {
			return fmt.Errorf("seed object %d: %w", i, err)
		}
		if time.Since(said) > 5*time.Second {
			said = time.Now()
			fmt.Fprintf(log, "seed: %d of %d objects\n", i+1, n)
		}
	}
	if len(puts) > 0 {
		return flush()
	}
	return nil
}

func connect(endpoint string) (*clientv3.Client, error) {
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{endpoint}, DialTimeout: 10 * time.Second})
	if err != nil {
		return nil, fmt.Errorf("connect to etcd: %w", err)
	}
	return client, nil
}

func namespaceName(i int) string { return fmt.Sprintf("bench-%04d", i/objectsPerNamespace) }

// versionLabel has 140 values.
func versionLabel(i int) string { return fmt.Sprintf("1.%d.%d", i%20, i%7) }

func objectName(i int) string { return fmt.Sprintf("settings-%07d", i) }

var seeded = metav1.NewTime(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC))

func namespace(i int) *corev1.Namespace {
	name := namespaceName(i)
	return &corev1.Namespace{
		ObjectMeta: metav1.ObjectMeta{
			Name: name, UID: uid("namespace/" + name), CreationTimestamp: seeded,
			Labels: map[string]string{corev1.LabelMetadataName: name},
		},
		Spec:   corev1.NamespaceSpec{Finalizers: []corev1.FinalizerName{corev1.FinalizerKubernetes}},
		Status: corev1.NamespaceStatus{Phase: corev1.NamespaceActive},
	}
}

// configMap is of the size that a small application's settings have.
func configMap(i int) *corev1.ConfigMap {
	cm := &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: namespaceName(i), Name: objectName(i),
			UID: uid(objectName(i)), CreationTimestamp: seeded,
			Labels: map[string]string{
				"app.kubernetes.io/name":       fmt.Sprintf("app-%04d", i%5000),
				"app.kubernetes.io/version":    versionLabel(i),
				"app.kubernetes.io/component":  "settings",
				"app.kubernetes.io/managed-by": "helm",
				"tier":                         []string{"web", "worker", "data"}[i%3],
			},
			Annotations: map[string]string{"meta.helm.sh/release-name": fmt.Sprintf("app-%04d", i%5000)},
			ManagedFields: []metav1.ManagedFieldsEntry{{
				Manager: "helm", Operation: metav1.ManagedFieldsOperationUpdate, APIVersion: "v1", Time: &seeded,
				FieldsType: "FieldsV1",
				FieldsV1:   metav1.NewFieldsV1(`{"f:data":{".":{},"f:image":{},"f:loglevel":{},"f:owner":{},"f:region":{},"f:replicas":{}}}`),
			}},
		},
		Data: map[string]string{
			"image":    fmt.Sprintf("registry.example.com/team/app-%04d:1.%d.%d", i%5000, i%20, i%7),
			"loglevel": "info",
			"owner":    fmt.Sprintf("team-%03d", i%300),
			"region":   "eu-central-1",
			"replicas": fmt.Sprint(1 + i%9),
		},
	}
	return cm
}

// uid makes the same UID for the same name, in the form of a random UUID.
func uid(name string) types.UID {
	h := sha256.Sum256([]byte(name))
	h[6], h[8] = h[6]&0x0f|0x40, h[8]&0x3f|0x80
	return types.UID(fmt.Sprintf("%x-%x-%x-%x-%x", h[0:4], h[4:6], h[6:8], h[8:10], h[10:16]))
}
